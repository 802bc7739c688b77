/** Keys of the whole page, while nobody types and no dialog is open. */

/** Call acts by their keys: a character, a name such as `Escape`, or `Ctrl+Shift+z` (Cmd as well). */
export function listenForKeys(acts: Readonly<Record<string, () => void>>): void {
  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || target.closest("dialog, input, select, textarea")) return;
    const control = event.ctrlKey || event.metaKey;
    const name = control ? `Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}` : event.key;
    const act = acts[name.length === 1 ? name.toLowerCase() : name];
    if (act === undefined || event.altKey) return;
    event.preventDefault();
    act();
  });
}
