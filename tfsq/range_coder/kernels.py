"""The loops of the range coder, in the one form that both Python and numba run.

Under plain Python, vectors are lists and buffers are bytearrays or bytes; compiled, all of them are
arrays. The arithmetic never leaves int64: products of a span, at most 2^32, and a count, at most
2^16, stay below 2^49.

A row of the coding table is given by four vectors: `starts`, where its counts begin; `sizes`, how
many symbols it codes without an escape; `shifts`, its precision; `escapes`, 1 where the interval
after these symbols is an escape.
"""

from __future__ import annotations

from bisect import bisect_right

DONE, BUFFER_FULL, BAD_INDEX, BAD_SYMBOL = 0, 1, 2, 3

# An escaped symbol is coded as a gap below 2^30: 29 zeros, 30 bits and a sign. TFC's encoder
# never returns when it is given more. With these symbols no row comes to more.
LARGEST = 2**30 - 2
MOST_ZEROS = 29

# A symbol has at most 1 + 60 steps, of which each writes at most 2 bytes.
ROOM = 128


def encode(
    counts,
    starts,
    sizes,
    shifts,
    escapes,
    indexes,
    symbols,
    first,
    stop,
    out,
    position,
    low,
    span,
):
    """Codes symbols[first:stop] into `out`.

    Args:
      counts: Vector of cumulative counts, the table.
      starts: Vector, as above, like the next three.
      sizes: Vector.
      shifts: Vector.
      escapes: Vector.
      indexes: Vector, the row of each symbol.
      symbols: Vector of the same length.
      first: Where to begin.
      stop: Where to end.
      out: Buffer that holds the bytes written so far; a carry runs back into them.
      position: Their number.
      low: Lower end of the interval, below 2^32.
      span: Its length, 2^16 to 2^32.

    Returns:
      (status, i, position, low, span): i is `stop` where the status is DONE, otherwise the symbol
      which the status speaks of. It is not coded then, and all before it are.
    """
    rows = len(starts)
    limit = len(out) - ROOM
    for i in range(first, stop):
        if position > limit:
            return BUFFER_FULL, i, position, low, span
        index = indexes[i]
        if index < 0 or index >= rows:
            return BAD_INDEX, i, position, low, span
        symbol = symbols[i]
        shift = shifts[index]
        bits = 0
        word = 0
        size = sizes[index]
        if symbol < 0 or symbol >= size:
            if escapes[index] == 0 or symbol < -LARGEST or symbol > LARGEST:
                return BAD_SYMBOL, i, position, low, span
            gap = -symbol if symbol < 0 else symbol - size + 1
            # The zeros in front of the gap are the word's own leading zeros.
            word = 2 * gap + (symbol < 0)
            while gap > 0:
                gap >>= 1
                bits += 2
            symbol = size
        start = starts[index] + symbol
        lower = counts[start]
        upper = counts[start + 1]
        while True:
            offset = span * lower >> shift
            low += offset
            span = (span * upper >> shift) - offset
            if low >= 4294967296:
                low -= 4294967296
                back = position - 1
                while out[back] == 255:
                    out[back] = 0
                    back -= 1
                out[back] += 1
            if span <= 65536:
                out[position] = low >> 24
                out[position + 1] = (low >> 16) & 255
                position += 2
                low = (low & 65535) << 16
                span <<= 16
            if bits == 0:
                break
            bits -= 1
            lower = (word >> bits) & 1
            upper = lower + 1
            shift = 1
    return DONE, stop, position, low, span


def decode(
    counts,
    starts,
    sizes,
    shifts,
    indexes,
    symbols,
    first,
    stop,
    data,
    position,
    span,
    value,
    corrupt,
):
    """Decodes symbols[first:stop] from `data`.

    Args:
      counts: Vector of cumulative counts, the table.
      starts: Vector, as above, like the next two.
      sizes: Vector.
      shifts: Vector.
      indexes: Vector, the row of each symbol.
      symbols: Vector of the same length, to be filled.
      first: Where to begin.
      stop: Where to end.
      data: Bytes; the last two are zero and not of the string. Zeros follow without end.
      position: Where to read next.
      span: Length of the interval, 2^16 to 2^32.
      value: What was read, less the lower end of the interval; below `span`.
      corrupt: 1 where something was read before that no encoder writes, otherwise 0.

    Returns:
      (status, i, position, span, value, corrupt), the former two as of `encode`.
    """
    rows = len(starts)
    end = len(data) - 2
    for i in range(first, stop):
        index = indexes[i]
        if index < 0 or index >= rows:
            return BAD_INDEX, i, position, span, value, corrupt
        shift = shifts[index]
        start = starts[index]
        size = sizes[index]
        # The largest count c with span * c >> shift at most the value. It is below the row's last
        # one, because the value is below the span.
        target = (((value + 1) << shift) - 1) // span
        place = bisect_right(counts, target, start, start + size + 1) - 1
        offset = span * counts[place] >> shift
        value -= offset
        span = (span * counts[place + 1] >> shift) - offset
        if span <= 65536:
            span <<= 16
            value <<= 16
            if position < end:
                value += (data[position] << 8) + data[position + 1]
            position += 2
        symbol = place - start
        if symbol == size:
            zeros = 0
            bits = -1
            word = 0
            while bits != 0:
                half = span >> 1
                bit = 0
                if value < half:
                    span = half
                else:
                    bit = 1
                    value -= half
                    span -= half
                if span <= 65536:
                    span <<= 16
                    value <<= 16
                    if position < end:
                        value += (data[position] << 8) + data[position + 1]
                    position += 2
                if bits > 0:
                    word = 2 * word + bit
                    bits -= 1
                elif bit == 1:
                    word = 1
                    bits = zeros + 1
                elif zeros == MOST_ZEROS:
                    bits = 0
                else:
                    zeros += 1
            symbol = -(word >> 1) if word & 1 else (word >> 1) + size - 1
            if word == 0 or symbol < -LARGEST or symbol > LARGEST:
                corrupt = 1
                symbol = 0
        symbols[i] = symbol
    return DONE, stop, position, span, value, corrupt
