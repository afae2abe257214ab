// Numbers from base64.

/** @param {string} base64 */
export function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let index = 0; index < found.length; index += 1) found[index] = text.charCodeAt(index);
  return found;
}

/** @param {string} base64 */
export const floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);
