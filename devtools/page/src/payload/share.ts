// A payload in the fragment of the page's address, which no browser sends.

/** The longest link that is made, in letters: longer ones do not survive mail and chat. */
export const MAX_LINK = 32_000;

export interface Shared {
  /** A text as it was pasted, or the bytes of a file. */
  readonly content: string | Uint8Array<ArrayBuffer>;
  /** The options by their ids, but those that are as they are at first. */
  readonly options: Readonly<Record<string, string>>;
}

const PREFIX = '#payload/';

/** Returns the fragment, or undefined if it would be too long. */
export async function toFragment({ content, options }: Shared): Promise<string | undefined> {
  const isText = typeof content === 'string';
  const packed = await through(isText ? new TextEncoder().encode(content) : content, new CompressionStream('deflate-raw'));
  if (packed.length > MAX_LINK) return undefined;
  const letters = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(''));
  const body = letters.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  const chosen = new URLSearchParams(options).toString();
  const fragment = `${PREFIX}${isText ? 't' : 'b'}.${body}${chosen === '' ? '' : `?${chosen}`}`;
  return fragment.length <= MAX_LINK ? fragment : undefined;
}

/**
 * Returns what a fragment holds; undefined if it holds no payload.
 *
 * @throws Error if it is cut or changed
 */
export async function fromFragment(fragment: string, maxBytes: number): Promise<Shared | undefined> {
  if (!fragment.startsWith(PREFIX)) return undefined;
  const [body = '', chosen = ''] = fragment.slice(PREFIX.length).split('?', 2);
  const kind = body.slice(0, 2);
  if (kind !== 't.' && kind !== 'b.') throw new Error('it does not say what it holds');
  const options = Object.fromEntries(new URLSearchParams(chosen));
  try {
    const letters = atob(body.slice(2).replaceAll('-', '+').replaceAll('_', '/'));
    const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const bytes = await through(packed, new DecompressionStream('deflate-raw'), maxBytes);
    return { content: kind === 't.' ? new TextDecoder('utf-8', { fatal: true }).decode(bytes) : bytes, options };
  } catch (error) {
    if (error instanceof TooLong) throw error;
    // What browsers say of it is about base64 and compression, of which a visitor knows nothing.
    throw new Error('it was cut or changed on its way', { cause: error });
  }
}

class TooLong extends Error {}

/** Sends bytes through a stream. A small link can hold a very long text: what comes out has a limit. */
async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
  maxBytes = Infinity,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw new TooLong('it holds more than this page shows');
    }
    parts.push(Uint8Array.from(value));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
