// Sizes of files, and of the base64 text they are sent as.

// What else a frame holds beside the file.
const ROOM_FOR_THE_REST = 1024;
const KB = 1024;

// The largest file whose text fits into a frame.
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
