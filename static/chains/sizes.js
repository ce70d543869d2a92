// Sizes of files and of their base64 text.

// Bytes that are reserved in a frame for everything but the file.
const ROOM_FOR_THE_REST = 1024;
const KB = 1024;

// The size in bytes of the largest file whose base64 text fits into a frame.
export function bytesThatFit(frameBytes) {
  return Math.floor((frameBytes - ROOM_FOR_THE_REST) / 4) * 3;
}

export function bytesIn(base64) {
  const padding = /=*$/.exec(base64.slice(-2))[0].length;
  return Math.floor((base64.length * 3) / 4) - padding;
}

export function sizeText(bytes) {
  if (bytes < KB) return `${bytes} bytes`;
  if (bytes < KB * KB) return `${Math.round(bytes / KB)} KB`;
  return `${(bytes / KB / KB).toFixed(1)} MB`;
}
