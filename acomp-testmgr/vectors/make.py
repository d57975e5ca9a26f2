"""Makes the vector files beside it: python3 make.py, with the packages lz4, lzallright and
zstandard installed.

NAME.data is data, FORMAT/NAME.stream is a stream. Streams come from zlib, liblz4, lzokay and
libzstd (the committed ones from zlib 1.2.13, liblz4 1.9, lzallright 0.3 and libzstd 1.5) or are
assembled by hand where no library would write them. Before a file is written, the reference library
is asked: it reads every stream that is to be accepted and refuses every stream that is to be
refused. For lzo-rle there is none: its streams are made after the format.
"""

import pathlib
import struct
import zlib

import lz4.block
import lzallright
import zstandard

HERE = pathlib.Path(__file__).parent


def main():
    text = words(4096)
    noise = xorshift(64)
    # The marker comes back at the longest distance of deflate.
    far = noise + bytes(32768 - len(noise)) + noise
    run = b"a" * 1000
    literals = xorshift(300)
    for name, data in {"text": text, "far": far, "run": run, "literals": literals}.items():
        (HERE / f"{name}.data").write_bytes(data)
    deflate(text, far, run, literals)
    lz4_block(text, run, literals)
    lzo(text, far, run, literals)
    lzo_rle(literals)
    zstd(text, run, literals)


def deflate(text, far, run, literals):
    def level(data, level, strategy=zlib.Z_DEFAULT_STRATEGY):
        stream = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        return stream.compress(data) + stream.flush()

    def flushed():
        stream = zlib.compressobj(6, zlib.DEFLATED, -15)
        head = stream.compress(text[:2000]) + stream.flush(zlib.Z_SYNC_FLUSH)
        return head + stream.compress(text[2000:]) + stream.flush()

    def far_stream():
        marker, rest = far[:64], 32768 - 64 - 1
        bits = Fixed().literals(marker).literals(b"\0")
        for _ in range(rest // 258):
            bits.match(258, 1)
        return bits.literals(bytes(rest % 258)).match(64, 32768).end()

    dynamic = level(text, 9)
    stored = level(literals, 0)
    accept, refuse = sink("deflate", inflate)
    accept("empty-fixed", level(b"", 6), b"")
    accept("empty-stored", level(b"", 0), b"")
    accept("stored", stored, literals)
    accept("fixed", level(text, 6, zlib.Z_FIXED), text)
    accept("huffman-only", level(text, 6, zlib.Z_HUFFMAN_ONLY), text)
    accept("dynamic", dynamic, text)
    accept("fast", level(text, 1), text)
    accept("sync-flush", flushed(), text)
    accept("run", level(run, 6), run)
    accept("far", far_stream(), far)
    refuse("no-bytes", b"")
    refuse("block-type-3", b"\x07" + bytes(16))
    refuse("before-start", Fixed().literals(b"a").match(3, 2).end())
    refuse("length-symbol-286", Fixed().literals(b"a").symbol(286).distance_symbol(0).end())
    refuse("distance-symbol-30", Fixed().literals(b"a").symbol(257).distance_symbol(30).end())
    # A dynamic block whose first four code length codes are all 1 bit long.
    header = Bits().put(1, 1).put(2, 2).put(0, 10).put(0, 4)
    refuse("oversubscribed", header.put(0o1111, 12).bytes() + bytes(16))
    refuse("cut-off", dynamic[: len(dynamic) // 2])
    refuse("cut-off-end", Fixed().literals(literals).bytes())
    refuse("cut-off-stored", stored[:-1])
    refuse("trailing-byte", dynamic + b"\0")
    refuse("two-streams", level(b"", 6) * 2)
    refuse("stored-length", stored[:3] + bytes([stored[3] ^ 1]) + stored[4:])


def lz4_block(text, run, literals):
    def level(data, mode, **how):
        return lz4.block.compress(data, mode, store_size=False, **how)

    plain = level(literals, "default")
    assert plain == bytes([0xF0, 255, 300 - 15 - 255]) + literals
    hc = level(text, "high_compression", compression=12)
    # A literal, a match of 994 bytes, 5 literals.
    offset_1 = b"\x1fa\x01\x00" + b"\xff" * 3 + bytes([994 - 4 - 15 - 3 * 255]) + b"\x50aaaaa"
    accept, refuse = sink("lz4", lambda stream: lz4.block.decompress(stream, 1 << 16))
    accept("empty", level(b"", "default"), b"")
    accept("literals", plain, literals)
    accept("offset-1", offset_1, run)
    accept("run", level(run, "default"), run)
    accept("fast", level(text, "fast", acceleration=8), text)
    accept("default", level(text, "default"), text)
    accept("high-compression", hc, text)
    refuse("no-bytes", b"")
    # The format calls offset 0 invalid; liblz4 does not look.
    (HERE / "lz4" / "offset-0.stream").write_bytes(b"\x1fa" + b"\x00\x00" + offset_1[4:])
    refuse("before-start", b"\x1fa" + b"\x02\x00" + offset_1[4:])
    refuse("cut-off-literals", plain[:-1])
    refuse("cut-off-length", plain[:2])
    refuse("cut-off-offset", offset_1[:3])
    refuse("cut-off-match-length", offset_1[:6])
    refuse("trailing-byte", hc + b"\0")


def lzo(text, far, run, literals):
    level = lzallright.LZOCompressor().compress
    # A run of 18 + 255 + 27 literals.
    plain = b"\0\0\x1b" + literals + LZO_END
    # One literal, and a match of 33 + 3 * 255 + 201 bytes.
    distance_1 = b"\x12a" + b"\x20\0\0\0\xc9\0\0" + LZO_END
    default = level(text)
    accept, refuse = sink("lzo", lzallright.LZOCompressor.decompress)
    accept("empty", LZO_END, b"")
    accept("literals", plain, literals)
    accept("first-byte", b"\x15aaaa" + LZO_END, b"aaaa")
    accept("distance-1", distance_1, run)
    accept("run", level(run), run)
    accept("default", default, text)
    accept("far", level(far), far)
    refuse("no-bytes", b"")
    refuse("before-start", b"\x12a" + b"\x44\0" + LZO_END)
    # The kernel refuses it; lzokay does not look.
    (HERE / "lzo" / "end-with-length.stream").write_bytes(b"\x12a" + b"\x12\0\0")
    refuse("cut-off", default[: len(default) // 2])
    refuse("cut-off-end", default[:-1])
    refuse("cut-off-literals", plain[:100])
    refuse("cut-off-length", plain[:2])
    refuse("trailing-byte", default + b"\0")


def lzo_rle(literals):
    (HERE / "lzo-rle").mkdir(exist_ok=True)
    header = b"\x11\x01"
    # A literal, 2051 and 5 zeros, and a literal that is part of the second run.
    zeros = b"\x12A" + b"\x1f\xfc\xff\xff" + b"\x19\xfd\xff\0C" + LZO_END
    for name, stream in {
        "empty": header + LZO_END,
        "literals": header + b"\0\0\x1b" + literals + LZO_END,
        "zeros": header + zeros,
        "cut-off": (header + zeros)[:6],
        "version-2": b"\x11\x02" + zeros,
        "zeros-without-version": zeros,
    }.items():
        (HERE / "lzo-rle" / f"{name}.stream").write_bytes(stream)


def zstd(text, run, literals):
    def level(data, level, **how):
        return zstandard.ZstdCompressor(level, **how).compress(data)

    def blocks():
        stream = zstandard.ZstdCompressor(3).compressobj()
        head = stream.compress(text[:2000]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return head + stream.compress(text[2000:]) + stream.flush()

    # RFC 8878, 3.1.1: single segment with a content size of 2 bytes (less 256), then blocks.
    def frame(size, *blocks):
        return MAGIC + b"\x60" + struct.pack("<H", size - 256) + b"".join(blocks)

    def block(kind, size, data, last=True):
        return struct.pack("<I", last | kind << 1 | size << 3)[:3] + data

    raw = frame(300, block(0, 300, literals))
    rle = frame(1000, block(1, 1000, b"a"))
    plain = level(text, 3)
    checked = level(text, 3, write_checksum=True)
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"
    accept, refuse = sink("zstd", unzstd)
    accept("empty", level(b"", 3), b"")
    accept("fast", level(text, -5), text)
    for n in (1, 3, 19):
        accept(f"level-{n}", level(text, n), text)
    accept("checksum", checked, text)
    accept("no-size", level(text, 3, write_content_size=False), text)
    accept("no-size-blocks", blocks(), text)
    accept("raw", raw, literals)
    accept("rle", rle, run)
    run_blocks = block(1, 400, b"a", last=False), block(0, 600, run[400:], last=False)
    accept("rle-raw-empty", frame(1000, *run_blocks, block(0, 0, b"")), run)
    refuse("no-bytes", b"")
    refuse("magic", bytes([plain[0] ^ 1]) + plain[1:])
    refuse("reserved-bit", plain[:4] + bytes([plain[4] | 8]) + plain[5:])
    refuse("block-type-3", frame(300, block(3, 300, literals)))
    refuse("wrong-size", frame(299, block(0, 300, literals)))
    refuse("checksum-wrong", checked[:-1] + bytes([checked[-1] ^ 1]))
    refuse("cut-off", plain[: len(plain) // 2])
    refuse("cut-off-checksum", checked[:-1])
    refuse("no-last-block", frame(300, block(0, 300, literals, last=False)))
    refuse("trailing-byte", plain + b"\0")
    refuse("two-frames", rle * 2)
    refuse("skippable", skippable)


def sink(name, decode):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()

    def accept(name, stream, data):
        assert decode(stream) == data, name
        (folder / f"{name}.stream").write_bytes(stream)

    def refuse(name, stream):
        try:
            decode(stream)
        except ERRORS:
            (folder / f"{name}.stream").write_bytes(stream)
        else:
            raise AssertionError(name)

    return accept, refuse


def inflate(stream):
    inflater = zlib.decompressobj(-15)
    data = inflater.decompress(stream)
    if not inflater.eof or inflater.unused_data:
        raise zlib.error("not exactly one stream")
    return data


def unzstd(stream):
    # The library takes a skippable frame for an empty one.
    if stream[:4] != MAGIC:
        raise zstandard.ZstdError("no frame")
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    data = decompressor.decompress(stream)
    if not decompressor.eof or decompressor.unused_data:
        raise zstandard.ZstdError("not exactly one frame")
    return data


class Bits:
    """A bit string as deflate packs it (RFC 1951, 3.1.1)."""

    def __init__(self):
        self.value = self.len = 0

    def put(self, value, bits):
        self.value |= value << self.len
        self.len += bits
        return self

    def code(self, value, bits):
        return self.put(int(f"{value:0{bits}b}"[::-1], 2), bits)

    def bytes(self):
        return self.value.to_bytes((self.len + 7) // 8, "little")


class Fixed(Bits):
    """One last block of fixed codes (RFC 1951, 3.2.5 and 3.2.6)."""

    def __init__(self):
        super().__init__()
        self.put(1, 1).put(1, 2)

    def symbol(self, symbol):
        if symbol < 144:
            return self.code(0x30 + symbol, 8)
        if symbol < 256:
            return self.code(0x190 + symbol - 144, 9)
        if symbol < 280:
            return self.code(symbol - 256, 7)
        return self.code(0xC0 + symbol - 280, 8)

    def distance_symbol(self, symbol):
        return self.code(symbol, 5)

    def literals(self, data):
        for byte in data:
            self.symbol(byte)
        return self

    def match(self, len, distance):
        if len == 258:
            self.symbol(285)
        else:
            extra = max(0, (len - 3).bit_length() - 3)
            self.symbol(257 + (extra << 2) + (len - 3 >> extra))
            self.put(len - 3 & (1 << extra) - 1, extra)
        extra = max(0, (distance - 1).bit_length() - 2)
        self.distance_symbol((extra << 1) + (distance - 1 >> extra))
        return self.put(distance - 1 & (1 << extra) - 1, extra)

    def end(self):
        return self.symbol(256).bytes()


def words(len):
    """Sentences of common words."""
    common = "the page is a unit of memory that kernel and user share in equal parts".split()
    text = " ".join(common[byte % 15] for byte in xorshift(len))
    return text.encode()[:len]


def xorshift(len):
    """Bytes that do not compress."""
    state, out = 2463534242, bytearray()
    for _ in range(len):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        out.append(state >> 24)
    return bytes(out)


LZO_END = b"\x11\0\0"
ERRORS = zlib.error, lz4.block.LZ4BlockError, lzallright.LZOError, zstandard.ZstdError
MAGIC = struct.pack("<I", 0xFD2FB528)

if __name__ == "__main__":
    main()
