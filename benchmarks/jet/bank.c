/* Jets by their bank of maps, for 64 channels and 64 outputs of 3 x 3 on bits, beside the composed kernels of net.c.
 *
 * Bytes of 0 and 1; a pass down the columns (3 maps), one across (9 maps), then for each channel its 9 values stand in
 * a table of 16 bytes, from which the constant kinds of 32 outputs select by one shuffle; psignb gives the sign. Sums of
 * 7 channels fit a byte (16 * 7 < 128), then they are widened. bank_tables.h holds kinds, signs, limits and flips. */
#include <immintrin.h>
#include <string.h>

#include "net.c"
#include "bank_tables.h"

#define BANK __attribute__((target("avx2"), noinline))

typedef struct {
    uint8_t bytes[SIDE * SIDE * 64] __attribute__((aligned(64)));
    int8_t down[3][SIDE * 64] __attribute__((aligned(64)));
    int8_t tables[2][64][16] __attribute__((aligned(64)));
} bank_room;

BANK static void bank_bytes(const uint64_t *bits, uint8_t *bytes)
{
    const __m256i places = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                                            3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull), one = _mm256_set1_epi8(1);
    for (int n = 0; n < SIDE * SIDE; n++) {
        for (int half = 0; half < 2; half++) {
            __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)(bits[n] >> (32 * half))), places);
            v = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit), one);
            _mm256_store_si256((__m256i *)(bytes + 64 * n + 32 * half), v);
        }
    }
}

/* [1 2 1], [1 0 -1] and [1 -2 1] of three neighbours. */
#define PASS(a, b, c, s, d, l)                                                                                         \
    do {                                                                                                              \
        const __m256i sum = _mm256_add_epi8(a, c), twice = _mm256_add_epi8(b, b);                                     \
        s = _mm256_add_epi8(sum, twice);                                                                              \
        d = _mm256_sub_epi8(a, c);                                                                                    \
        l = _mm256_sub_epi8(sum, twice);                                                                              \
    } while (0)

BANK static void bank_down(bank_room *room, int y)
{
    const uint8_t *rows = room->bytes + (size_t)y * SIDE * 64;
    for (int k = 0; k < SIDE * 64; k += 32) {
        const __m256i a = _mm256_load_si256((const __m256i *)(rows + k));
        const __m256i b = _mm256_load_si256((const __m256i *)(rows + SIDE * 64 + k));
        const __m256i c = _mm256_load_si256((const __m256i *)(rows + 2 * SIDE * 64 + k));
        __m256i s, d, l;
        PASS(a, b, c, s, d, l);
        _mm256_store_si256((__m256i *)(room->down[0] + k), s);
        _mm256_store_si256((__m256i *)(room->down[1] + k), d);
        _mm256_store_si256((__m256i *)(room->down[2] + k), l);
    }
}

/* The maps of one pixel as a table of 16 bytes for each channel. */
BANK static void bank_across(const bank_room *room, int x, int8_t (*tables)[16])
{
    int8_t maps[9][64] __attribute__((aligned(64)));
    for (int q = 0; q < 3; q++) {
        for (int k = 0; k < 64; k += 32) {
            const int8_t *at = room->down[q] + x * 64 + k;
            const __m256i a = _mm256_load_si256((const __m256i *)at), b = _mm256_load_si256((const __m256i *)(at + 64));
            const __m256i c = _mm256_load_si256((const __m256i *)(at + 128));
            __m256i s, d, l;
            PASS(a, b, c, s, d, l);
            _mm256_store_si256((__m256i *)(maps[3 * q] + k), s);
            _mm256_store_si256((__m256i *)(maps[3 * q + 1] + k), d);
            _mm256_store_si256((__m256i *)(maps[3 * q + 2] + k), l);
        }
    }
    for (int block = 0; block < 64; block += 16) {
        const __m128i zero = _mm_setzero_si128();
        __m128i r[9], two[10], four[10];
        for (int q = 0; q < 9; q++) {
            r[q] = _mm_load_si128((const __m128i *)(maps[q] + block));
        }
        for (int q = 0; q < 4; q++) {
            two[2 * q] = _mm_unpacklo_epi8(r[2 * q], r[2 * q + 1]);
            two[2 * q + 1] = _mm_unpackhi_epi8(r[2 * q], r[2 * q + 1]);
        }
        two[8] = _mm_unpacklo_epi8(r[8], zero);
        two[9] = _mm_unpackhi_epi8(r[8], zero);
        for (int q = 0; q < 2; q++) { /* maps 4 q .. 4 q + 3 of channels 0-3, 4-7, 8-11, 12-15 */
            four[4 * q] = _mm_unpacklo_epi16(two[4 * q], two[4 * q + 2]);
            four[4 * q + 1] = _mm_unpackhi_epi16(two[4 * q], two[4 * q + 2]);
            four[4 * q + 2] = _mm_unpacklo_epi16(two[4 * q + 1], two[4 * q + 3]);
            four[4 * q + 3] = _mm_unpackhi_epi16(two[4 * q + 1], two[4 * q + 3]);
        }
        for (int q = 0; q < 4; q++) {
            const __m128i low = _mm_unpacklo_epi32(four[q], four[4 + q]), high = _mm_unpackhi_epi32(four[q], four[4 + q]);
            const __m128i last = q % 2 ? _mm_unpackhi_epi16(two[8 + q / 2], zero) : _mm_unpacklo_epi16(two[8 + q / 2], zero);
            const __m128i first = _mm_unpacklo_epi32(last, zero), second = _mm_unpackhi_epi32(last, zero);
            __m128i *out = (__m128i *)tables[block + 4 * q];
            _mm_store_si128(out, _mm_unpacklo_epi64(low, first));
            _mm_store_si128(out + 1, _mm_unpackhi_epi64(low, first));
            _mm_store_si128(out + 2, _mm_unpacklo_epi64(high, second));
            _mm_store_si128(out + 3, _mm_unpackhi_epi64(high, second));
        }
    }
}

#define WIDEN(sums, narrow)                                                                                            \
    do {                                                                                                              \
        sums[0] = _mm256_add_epi16(sums[0], _mm256_cvtepi8_epi16(_mm256_castsi256_si128(narrow)));                    \
        sums[1] = _mm256_add_epi16(sums[1], _mm256_cvtepi8_epi16(_mm256_extracti128_si256(narrow, 1)));               \
    } while (0)

/* Two pixels, all outputs: 32 outputs at a time. */
BANK static void bank_pixels(const bank_room *room, uint64_t *out, int pixels)
{
    out[0] = 0;
    out[1] = 0;
    for (int half = 0; half < 2; half++) {
        __m256i sums[2][2];
        memset(sums, 0, sizeof(sums));
        for (int c = 0; c < 64;) {
            const int end = c + 7 < 64 ? c + 7 : 64;
            __m256i one = _mm256_setzero_si256(), two = _mm256_setzero_si256();
            for (; c < end; c++) {
                const __m256i kind = _mm256_load_si256((const __m256i *)KINDS[c][half]);
                const __m256i sign = _mm256_load_si256((const __m256i *)SIGNS[c][half]);
                const __m256i p = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)room->tables[0][c]));
                const __m256i q = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)room->tables[1][c]));
                one = _mm256_add_epi8(one, _mm256_sign_epi8(_mm256_shuffle_epi8(p, kind), sign));
                two = _mm256_add_epi8(two, _mm256_sign_epi8(_mm256_shuffle_epi8(q, kind), sign));
            }
            WIDEN(sums[0], one);
            WIDEN(sums[1], two);
        }
        for (int n = 0; n < 2; n++) {
            const __m256i low = _mm256_cmpgt_epi16(sums[n][0], _mm256_load_si256((const __m256i *)LIMITS[half]));
            const __m256i high = _mm256_cmpgt_epi16(sums[n][1], _mm256_load_si256((const __m256i *)(LIMITS[half] + 16)));
            const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
            out[n] |= (uint64_t)(uint32_t)_mm256_movemask_epi8(packed) << (32 * half);
        }
    }
    for (int n = 0; n < pixels; n++) {
        out[n] ^= FLIPS;
    }
}

void bank(const uint64_t *in, uint64_t *out, bank_room *room)
{
    uint64_t two[2];
    bank_bytes(in, room->bytes);
    for (int y = 0; y < SIDE - 2; y++) {
        bank_down(room, y);
        for (int x = 0; x < SIDE - 2; x += 2) {
            bank_across(room, x, room->tables[0]);
            bank_across(room, x + 1, room->tables[1]);
            bank_pixels(room, two, 2);
            memcpy(out, two, sizeof(two));
            out += 2;
        }
    }
}

size_t bank_room_bytes(void)
{
    return sizeof(bank_room);
}

void composed(int path, const uint64_t *in, uint64_t *out, uint64_t *patch)
{
    if (path == 2) {
        lj_bit_conv_avx512(&CONVOLUTION, in, out, 0, patch);
    } else if (path == 1) {
        lj_bit_conv_avx2(&CONVOLUTION, in, out, 0, patch);
    } else {
        lj_bit_conv_portable(&CONVOLUTION, in, out, 0, patch);
    }
}
