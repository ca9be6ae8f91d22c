// Bodies as the network log of the developer tools hands them out, turned back into bytes.
//
// A response comes as base64. The body of a request comes as a text that does not say how it was made: one
// character for each byte if the bytes are not UTF-8, else the text that they are in UTF-8. The two can look
// the same. So all bytes that may be behind a text are tried as CBOR, and where two readings are left, or
// none, the panel says that it does not know. The size that the log states is of no use: it is too large.

/** Returns true for the media types of CBOR (RFC 8949 sections 9.3 and 9.5, RFC 8742). */
export function isCbor(type) {
  return /^application\/(cbor(-seq)?|[^;\s]+\+cbor)\s*(;|$)/i.test(type ?? '');
}

/** Returns true for the media type of a sequence of items (RFC 8742). */
export function isSequence(type) {
  return /^application\/cbor-seq\s*(;|$)/i.test(type ?? '');
}

/** Returns the bytes of base64. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * Returns all bytes that the browser may have shown as this text: one array, or two.
 *
 * @param {string} text
 */
export function readings(text) {
  const utf8 = new TextEncoder().encode(text);
  const letters = Array.from(text, (letter) => letter.codePointAt(0));
  if (letters.every((letter) => letter <= 0x7f) || letters.some((letter) => letter > 0xff)) {
    return [utf8];
  }
  const latin1 = Uint8Array.from(letters);
  // Bytes that are UTF-8 would have been shown as the text that they are.
  return isUtf8(latin1) ? [utf8] : [latin1, utf8];
}

function isUtf8(bytes) {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns the bytes behind a text, and whether they are known: those of the only reading, or of the only one
 * that is valid CBOR from the first byte to the last. Otherwise all readings.
 *
 * @param {string} text
 * @param {string | undefined} type
 * @param {(bytes: Uint8Array, type: string | undefined) => boolean} isValid
 */
export function bytesOf(text, type, isValid) {
  const all = readings(text);
  const valid = all.length === 1 ? all : all.filter((bytes) => isValid(bytes, type));
  return valid.length === 1 ? { known: true, candidates: valid } : { known: false, candidates: all };
}

/** Returns the media type of a request's or response's body. */
export function typeOf(headers, content) {
  return content?.mimeType || headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value;
}

/** Returns the body of the request of an entry of the log: its type, and what {@link bytesOf} returns. */
export function requestBody({ request: { headers, postData } }, isValid) {
  const type = typeOf(headers, postData);
  return postData?.text ? { type, ...bytesOf(postData.text, type, isValid) } : { type, known: true, candidates: [] };
}

/** Returns the body of the response of an entry of the log. */
export async function responseBody(entry, isValid) {
  const type = typeOf(entry.response.headers, entry.response.content);
  const [text, encoding] = await new Promise((resolve) => {
    entry.getContent((...content) => resolve(content));
  });
  if (!text) {
    return { type, known: true, candidates: [] };
  }
  const bytes = encoding === 'base64' && fromBase64(text);
  return { type, ...(bytes ? { known: true, candidates: [bytes] } : bytesOf(text, type, isValid)) };
}
