// Reads width and height from the header of an image.

export interface ImageSize {
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
}

/** Returns the size of a PNG, JPEG, GIF or WebP image, or undefined if its header cannot be read. */
export function imageSizeOf(bytes: Buffer): ImageSize | undefined {
  try {
    return sizeOf(bytes);
  } catch (error) {
    // The image ends within its header.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function sizeOf(bytes: Buffer): ImageSize | undefined {
  const text = bytes.toString("latin1", 0, 16);
  if (text.startsWith("\x89PNG")) return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  if (text.startsWith("GIF8")) return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  if (text.startsWith("\xff\xd8")) return sizeOfJpeg(bytes);
  if (text.startsWith("RIFF")) return sizeOfWebp(bytes, text.slice(12));
  return undefined;
}

/** Finds the frame header among the segments of a JPEG. */
function sizeOfJpeg(bytes: Buffer): ImageSize | undefined {
  for (let at = 2; ; ) {
    if (bytes.readUInt8(at) !== 0xff) return undefined;
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) {
      // A fill byte.
      at += 1;
      continue;
    }
    // C4, C8 and CC are tables. The image's data begins after DA.
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    if (marker === 0xda || marker === 0xd9) return undefined;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
}

function sizeOfWebp(bytes: Buffer, chunk: string): ImageSize | undefined {
  if (chunk === "VP8X") return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
  if (chunk === "VP8 ") return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
  if (chunk !== "VP8L") return undefined;
  const packed = bytes.readUInt32LE(21);
  return { width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 };
}
