declare const core: {
  registerLanguage(name: string, grammar: unknown): void;
  getLanguage(name: string): unknown;
  registerAliases(names: string[], options: { languageName: string }): void;
  highlight(code: string, options: { language: string; ignoreIllegals?: boolean }): { value: string };
};
export default core;
