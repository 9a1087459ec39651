/* An int8 network of 3 x 3 convolutions with max pools of 2 and one linear layer, for a Cortex-M: the baseline.
 *
 * With DSP instructions it works as CMSIS-NN does: patches of two pixels widened to 16 bits, then two
 * multiply-accumulates an instruction (SMLAD). -DPLAIN takes loops that any core runs; both give the same numbers.
 * int8_tables.h holds the sizes, weights and multipliers. */
#include <stdint.h>
#include <string.h>

#include "int8_tables.h"

#ifndef PLAIN
static inline int32_t smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t out;
    __asm("smlad %0, %1, %2, %3" : "=r"(out) : "r"(a), "r"(b), "r"(sum));
    return out;
}

/* Bytes 0 and 2 of a word as two numbers of 16 bits. */
static inline uint32_t even_bytes(uint32_t word)
{
    uint32_t out;
    __asm("sxtb16 %0, %1" : "=r"(out) : "r"(word));
    return out;
}

/* Bytes 1 and 3. */
static inline uint32_t odd_bytes(uint32_t word)
{
    uint32_t out;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(out) : "r"(word));
    return out;
}

static inline uint32_t word_at(const void *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}
#endif

static inline int8_t requantised(int32_t sum, int32_t multiplier)
{
    int32_t value = (int32_t)(((int64_t)sum * multiplier) >> 31);
    value = value < 0 ? 0 : value; /* ReLU */
    return (int8_t)(value > 127 ? 127 : value);
}

/* Taps of one output pixel in a row, filled up with 0 to a multiple of 4. */
static void gather(const int8_t *in, int8_t *patch, int line, int channels, int taps)
{
    for (int i = 0; i < 3; i++) {
        memcpy(patch + i * 3 * channels, in + i * line * channels, (size_t)(3 * channels));
    }
    for (int k = 9 * channels; k < taps; k++) {
        patch[k] = 0;
    }
}

static void convolution(const int8_t *in, int8_t *out, const int8_t *weights, const int32_t *bias,
                        const int32_t *multipliers, int side, int channels, int outputs)
{
    const int width = side - 2, taps = (9 * channels + 3) / 4 * 4;
#ifdef PLAIN
    int8_t patch[LARGEST_PATCH];
    for (int y = 0; y < width; y++) {
        for (int x = 0; x < width; x++) {
            gather(in + (y * side + x) * channels, patch, side, channels, taps);
            for (int o = 0; o < outputs; o++) {
                const int8_t *w = weights + o * taps;
                int32_t sum = bias[o];
                for (int k = 0; k < taps; k++) {
                    sum += patch[k] * w[k];
                }
                *out++ = requantised(sum, multipliers[o]);
            }
        }
    }
#else
    int8_t bytes[LARGEST_PATCH];
    uint32_t patch[2][LARGEST_PATCH / 2];
    for (int y = 0; y < width; y++) {
        for (int x = 0; x < width; x += 2) {
            const int second = x + 1 < width;
            for (int n = 0; n <= second; n++) {
                gather(in + (y * side + x + n) * channels, bytes, side, channels, taps);
                for (int k = 0; k < taps; k += 4) {
                    const uint32_t four = word_at(bytes + k);
                    patch[n][k / 2] = even_bytes(four);
                    patch[n][k / 2 + 1] = odd_bytes(four);
                }
            }
            for (int o = 0; o < outputs; o++) {
                const int8_t *w = weights + o * taps, *end = w + taps;
                const uint32_t *p = patch[0], *q = patch[1];
                int32_t one = bias[o], two = bias[o];
                for (; w < end; w += 4, p += 2, q += 2) {
                    const uint32_t four = word_at(w), even = even_bytes(four), odd = odd_bytes(four);
                    one = smlad(odd, p[1], smlad(even, p[0], one));
                    two = smlad(odd, q[1], smlad(even, q[0], two));
                }
                out[o] = requantised(one, multipliers[o]);
                if (second) {
                    out[outputs + o] = requantised(two, multipliers[o]);
                }
            }
            out += second ? 2 * outputs : outputs;
        }
    }
#endif
}

static void pool(const int8_t *in, int8_t *out, int side, int channels)
{
    const int half = side / 2;
    for (int y = 0; y < half; y++) {
        for (int x = 0; x < half; x++) {
            const int8_t *a = in + (2 * y * side + 2 * x) * channels, *b = a + side * channels;
            for (int c = 0; c < channels; c++) {
                int8_t first = a[c] > a[c + channels] ? a[c] : a[c + channels];
                int8_t last = b[c] > b[c + channels] ? b[c] : b[c + channels];
                *out++ = first > last ? first : last;
            }
        }
    }
}

static void linear(const int8_t *in, int32_t *out, const int8_t *weights, const int32_t *bias, int features, int outputs)
{
    for (int o = 0; o < outputs; o++) {
        const int8_t *w = weights + o * features;
        int32_t sum = bias[o];
#ifdef PLAIN
        for (int k = 0; k < features; k++) {
            sum += in[k] * w[k];
        }
#else
        for (int k = 0; k < features; k += 4) {
            const uint32_t four = word_at(w + k), x = word_at(in + k);
            sum = smlad(even_bytes(four), even_bytes(x), smlad(odd_bytes(four), odd_bytes(x), sum));
        }
#endif
        out[o] = sum;
    }
}

void frame_run(const uint8_t *input, int32_t *output)
{
    static int8_t maps[2][LARGEST_MAP];
    int side = SIDE, channels = 1;
    for (int k = 0; k < SIDE * SIDE; k++) {
        maps[0][k] = (int8_t)(input[k] - 128);
    }
    for (int n = 0; n < LAYERS; n++) {
        convolution(maps[0], maps[1], WEIGHTS[n], BIAS[n], MULTIPLIERS[n], side, channels, WIDTHS[n]);
        pool(maps[1], maps[0], side - 2, WIDTHS[n]);
        side = (side - 2) / 2;
        channels = WIDTHS[n];
    }
    linear(maps[0], output, HEAD, HEAD_BIAS, side * side * channels, OUTPUTS);
}
