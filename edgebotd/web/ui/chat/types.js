// The values of the chat's API, as types only (docs/http-api.md).

/**
 * @typedef {{type: "text", text: string}} TextPart
 * @typedef {{type: "toolCall", toolCallId: string, name: string, arguments?: unknown}} ToolCallPart
 * @typedef {{type: "toolResult", toolCallId: string, name?: string | null, result?: unknown, isError?: boolean}} ToolResultPart
 * @typedef {{type: "attachment", sha256: string, name: string, mediaType: string, size: number}} AttachmentPart
 * @typedef {{type: "error", message: string, code?: string | null}} ErrorPart
 * @typedef {TextPart | ToolCallPart | ToolResultPart | AttachmentPart | ErrorPart} Part
 * @typedef {{id: string, botId: string, conversationId: string, runId: string, role: "user" | "assistant", parts: Part[],
 *   state: "pending" | "final" | "failed" | "aborted" | "interrupted", source: string, userId?: string | null,
 *   createdAt: number, editedAt?: number | null, seq?: number | null}} Message
 * @typedef {{id: string, botId: string, title?: string | null, source: string, createdAt: number, updatedAt: number}} Conversation
 * @typedef {{conversation: Conversation, unread: number, readSeq: number, last?: Message | null}} Row
 * @typedef {{message: Message, snippet: string, ranges: [number, number][]}} Hit
 * @typedef {{maxBytes: number, maxImageBytes: number, maxTotalBytes: number, mediaTypes?: string[] | null}} Rules what a bot takes
 * @typedef {{runId: string, messageId: string, conversationId: string, state: string, detail?: string | null}} SendAnswer
 */

export {};
