// The one table of the admin pages: real columns on a desk, two-line rows on a phone, sorted by a click on its head.

import { html, useMemo, useState } from "../../lib.js";
import { Icon } from "../../parts/icon.js";
import { Empty } from "../../parts/loaded.js";
import { language, t } from "../../strings.js";
import { fits } from "../order.js";
import { Filter, MANY } from "./filter.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label the head; on a phone it stands before the value
 * @property {(row: Row) => any} cell
 * @property {(row: Row) => string | number | null} [sort] the value to sort by; without it there is no sorting
 * @property {"main" | "number" | "actions" | "wide"} [as] `main` names the row, `actions` holds its buttons
 */

/** @typedef {{key: string, down: boolean}} Order */

/** A column's class. @param {string | undefined} as */
const kind = (as) => (as ? `admin-${as}` : "");

/** @param {string | number | null} one @param {string | number | null} other @param {Intl.Collator} collator */
function compare(one, other, collator) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return collator.compare(String(one), String(other));
}

/**
 * Return the rows in an order; what has no value comes last, whichever way.
 *
 * @template Row
 * @param {Row[]} rows @param {Column<Row>[]} columns @param {Order | null} order
 */
export function sorted(rows, columns, order) {
  const value = columns.find((column) => column.key === order?.key)?.sort;
  if (order === null || value === undefined) return rows;
  const collator = new Intl.Collator(language.value, { numeric: true });
  return rows.toSorted((one, other) => {
    const [first, second] = [value(one), value(other)];
    if (first === null || second === null) return Number(first === null) - Number(second === null);
    return compare(first, second, collator) * (order.down ? -1 : 1);
  });
}

/**
 * @template Row
 * @param {{label: string, columns: Column<Row>[], rows: Row[], id: (row: Row) => string | number, order?: Order | null,
 *   empty?: string, words?: (row: Row) => string}} props `order` is the one to begin with; `words` is what a filter looks at, which is
 *   there where there are many
 */
export function Table({ label, columns, rows: all, id, order: first = null, empty = t("admin.none"), words }) {
  const [order, setOrder] = useState(first);
  const [text, setText] = useState("");
  const filtered = words !== undefined && (all.length > MANY || text !== "");
  const rows = filtered ? all.filter((row) => fits(words(row), text)) : all;
  const shown = useMemo(() => sorted(rows, columns, order), [all, text, order, language.value]);
  const filter = filtered && html`<${Filter} text=${text} setText=${setText} />`;
  if (!rows.length) return html`${filter}<${Empty} text=${all.length ? t("admin.noMatch") : empty} />`;

  /** @param {Column<Row>} column */
  function head(column) {
    const current = order?.key === column.key ? order : null;
    if (!column.sort) return html`<span class=${column.as === "actions" ? "visually-hidden" : ""}>${column.label}</span>`;
    return html`<button type="button" class="admin-sort" onClick=${() => setOrder({ key: column.key, down: current ? !current.down : column.as === "number" })}>
      ${column.label}<${Icon} name="down" /></button>`;
  }

  // The roles stand there in words because a phone's layout takes away what a table's elements mean by themselves.
  return html`${filter}<table class="admin-rows" role="table" aria-label=${label}>
    <thead role="rowgroup"><tr role="row">${columns.map((column) => html`
      <th key=${column.key} role="columnheader" scope="col" class=${`${kind(column.as)} ${column.sort ? "admin-sorts" : ""}`}
        aria-sort=${order?.key === column.key ? (order.down ? "descending" : "ascending") : null}>${head(column)}</th>`)}</tr></thead>
    <tbody role="rowgroup">${shown.map((row) => html`
      <tr key=${id(row)} role="row" data-row tabindex="-1">${columns.map((column) => html`
        <td key=${column.key} role="cell" class=${kind(column.as)} data-label=${column.as === "main" || column.as === "actions" ? null : column.label}>
          ${column.cell(row)}</td>`)}</tr>`)}</tbody>
  </table>`;
}
