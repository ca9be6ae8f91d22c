// Elements without a framework: texts are always texts, never HTML.

type Attributes = Readonly<Record<string, string | number | boolean>>;

/** Makes an element. An attribute that is `true` has no value, one that is `false` is left out. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/** Returns the element with this id, which index.html has. */
export function find<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

/** Tells people, also those who listen, what has just been done. */
export function say(text: string): void {
  find('said', HTMLParagraphElement).textContent = text;
}

/** Offers bytes or a text as a file. */
export function save(name: string, type: string, content: BlobPart): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  make('a', { href: address, download: name }).click();
  // The click has begun to read the file.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}

/** Puts a text into the clipboard, and says so, or that it could not be done. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say(`${what}: the browser does not let this page copy`);
  }
}
