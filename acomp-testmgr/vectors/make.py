"""Makes the vector files beside it: python3 make.py, with the packages lz4, lzallright and
zstandard installed.

NAME.data is data, FORMAT/NAME.stream is a stream. Streams come from zlib, liblz4, lzokay and
libzstd (the committed ones from zlib 1.2.13, liblz4 1.9, lzallright 0.3 and libzstd 1.5) or are
assembled by hand where no library would write them. Before a file is written, the reference library
is asked: it reads every stream that is to be accepted and refuses every stream that is to be
refused. For 842 and lzo-rle there is none: their streams are made after the format.
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
    e842()
    deflate(text, far, run, literals)
    lz4_block(text, run, literals)
    lzo(text, far, run, literals)
    lzo_rle(literals)
    zstd(text, run, literals)


def e842():
    templates = E842().block("D", "D", data=b"abcdefgh")
    for first in E842.HALVES:
        for second in E842.HALVES:
            templates.block(first, second, data=b"uvwxyz12", slots=[1, 2, 3, 0])
    (HERE / "templates.data").write_bytes(templates.data)

    # 257 blocks fill every ring, and the first slots of it again. What is in the others was there
    # before, a pair 512 bytes ago, a four or a block 2048.
    rings, noise = E842(), xorshift(257 * 8)
    for at in range(0, len(noise), 8):
        rings.block("D", "D", data=noise[at : at + 8])
    rings.block("2", "2", slots=[0, 3, 4, 255]).block("4", "4", slots=[0, 511])
    rings.whole(0).whole(5).block("4", "4", slots=[9, 10])
    (HERE / "rings.data").write_bytes(rings.data)

    cut = E842().zeros().repeat(2).end()
    raw = E842().block("D", "D", data=b"abcdefgh")
    for name, stream in {
        "empty": E842().end(),
        "zeros": cut,
        "repeat-and-four": E842()
        .block("D", "D", data=b"abcdefgh")
        .repeat(1)
        .block("4", "D", data=b"1234", slots=[2])
        .end(),
        "short-data": E842().short(b"hello").end(),
        "pairs": E842()
        .block("D", "D", data=bytes(range(8)))
        .block("2", "2D", data=b"\xaa\xbb", slots=[0, 0, 3])
        .end(),
        "page-of-zeros": E842().zeros().repeats(511).end(),
        "templates": templates.end(),
        "rings": rings.end(),
        "no-bytes": b"",
        "opcode-26": E842().put(0x1A, 5).end(),
        "opcode-31": E842().put(0x1F, 5).end(),
        # The whole block in slot 0, when nothing was written.
        "before-start": E842().put(0x19, 5).put(0, 8).end(),
        # Four bytes, and a reference to them from the same block.
        "own-block": E842().put(4, 5).put(0x61626364, 32).put(0, 9).end(),
        "repeat-of-nothing": E842().put(0x1B, 5).put(0, 6).end(),
        "short-data-of-none": E842().put(0x1D, 5).put(0, 3).end(),
        # The kernel goes on; nothing that it writes has this.
        "short-data-first": E842().short(b"hello").zeros().end(),
        "checksum-wrong": E842().zeros().put(0x1E, 5).put(1, 32).padded(),
        "no-end": raw.padded(),
        "cut-off": raw.end()[:8],
        # The kernel does not read what is behind the checksum.
        "cut-off-padding": cut[:7],
        "padding": cut[:7] + b"\1",
        "trailing-byte": cut + b"\0",
        "trailing-word": cut + bytes(8),
    }.items():
        (HERE / "842").mkdir(exist_ok=True)
        (HERE / "842" / f"{name}.stream").write_bytes(stream)


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


class E842:
    """A stream of 842, field by field, and its data: the highest bit of a field comes first."""

    # What a half is made of: four bytes, two and a pair, a pair and two, two pairs, or a four.
    HALVES = ["D", "D2", "2D", "2", "4"]

    def __init__(self):
        self.value = self.len = 0
        self.data = b""

    def put(self, value, bits):
        self.value, self.len = self.value << bits | value, self.len + bits
        return self

    def block(self, first, second, data=b"", slots=()):
        """The bytes of `data` and the units of `slots`, as many as the halves take, in turn."""
        kinds = self.HALVES.index(first), self.HALVES.index(second)
        self.put(5 * kinds[0] + kinds[1], 5)
        slots, made = list(slots), b""
        for half in first, second:
            for unit in {"D": "DD", "2": "22"}.get(half, half):
                if unit == "D":
                    self.put(int.from_bytes(data[:2], "big"), 16)
                    made, data = made + data[:2], data[2:]
                else:
                    slot = slots.pop(0)
                    self.put(slot, 8 if unit == "2" else 9)
                    made += self.unit(slot, int(unit))
        self.data += made
        return self

    def whole(self, slot):
        self.put(0x19, 5).put(slot, 8)
        self.data += self.unit(slot, 8)
        return self

    def unit(self, slot, size):
        """The unit that was last written where the ring has this slot."""
        window = 512 if size == 2 else 2048
        here = len(self.data)
        at = max(at for at in range(slot * size, here, window) if at < here)
        return self.data[at : at + size]

    def zeros(self):
        self.data += bytes(8)
        return self.put(0x1C, 5)

    def repeat(self, blocks):
        self.data += self.data[-8:] * blocks
        return self.put(0x1B, 5).put(blocks - 1, 6)

    def repeats(self, blocks):
        while blocks > 64:
            self.repeat(64)
            blocks -= 64
        return self.repeat(blocks)

    def short(self, data):
        self.data += data
        return self.put(0x1D, 5).put(len(data), 3).put(int.from_bytes(data, "big"), 8 * len(data))

    def end(self):
        crc = 0
        for byte in self.data:
            crc ^= byte << 24
            for _ in range(8):
                crc = crc << 1 ^ (crc >> 31) * 0x104C11DB7
        return self.put(0x1E, 5).put(crc, 32).padded()

    def padded(self):
        len = -self.len % 64
        return (self.value << len).to_bytes((self.len + len) // 8, "big")


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
