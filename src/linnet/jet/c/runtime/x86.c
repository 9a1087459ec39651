/*@ bit_conv needs patch */
/* AVX2: two halves of four outputs; a byte holds the counts of 31 words (31 * 8 < 256), then they are added up. */
#define LJ_COUNT(acc, patch)                                                                                          \
    do {                                                                                                              \
        __m256i v = _mm256_xor_si256(_mm256_set1_epi64x((long long)(patch)), sign);                                   \
        v = _mm256_and_si256(v, mask);                                                                                \
        const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble));                                  \
        const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));           \
        acc = _mm256_add_epi8(acc, _mm256_add_epi8(low, high));                                                       \
    } while (0)

LJ_AVX2 static void lj_bit_conv_avx2(const lj_bit_convolution *c, const lj_word *map, lj_word *bits, int32_t *sums,
                                     lj_word *patches)
{
    const __m256i nibble = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2,
                                           3, 2, 3, 3, 4);
    const int32_t room = c->patch_words + 1;
    if (bits && c->channels % 64) {
        memset(bits, 0, (size_t)(c->out_height * c->out_width * c->out_words) * sizeof(lj_word));
    }
    for (int32_t y = 0; y < c->out_height; y++) {
        for (int32_t x = 0; x < c->out_width; x += 4) {
            const int32_t count = c->out_width - x < 4 ? c->out_width - x : 4;
            for (int32_t n = 0; n < 4; n++) {
                const int32_t column = x + (n < count ? n : count - 1);
                lj_patch(c, map + (y * c->width + column) * c->stride * c->words, patches + n * room);
            }
            for (int32_t half = 0; half * 4 < c->channels; half++) {
                const lj_word *s = c->sign + (half / 2) * c->sign_words * 8 + (half % 2) * 4;
                const lj_word *m = c->mask + (half / 2) * c->mask_words * 8 + (half % 2) * 4;
                __m256i total[4] = {zero, zero, zero, zero};
                for (int32_t p = 0; p < c->planes; p++) {
                    const lj_word *x0 = patches + c->plane_start[p];
                    const __m128i shift = _mm_cvtsi32_si128(c->plane_shift[p]);
                    const int masked = c->plane_masked[p];
                    __m256i mask = _mm256_set1_epi64x(-1);
                    for (int32_t w = 0; w < c->plane_words[p];) {
                        int32_t last = w + 31;
                        last = last < c->plane_words[p] ? last : c->plane_words[p];
                        __m256i a0 = zero, a1 = zero, a2 = zero, a3 = zero;
                        for (; w < last; w++, s += 8) {
                            const __m256i sign = _mm256_loadu_si256((const __m256i *)(const void *)s);
                            if (masked) {
                                mask = _mm256_loadu_si256((const __m256i *)(const void *)m);
                                m += 8;
                            }
                            LJ_COUNT(a0, x0[w]);
                            LJ_COUNT(a1, x0[w + room]);
                            LJ_COUNT(a2, x0[w + 2 * room]);
                            LJ_COUNT(a3, x0[w + 3 * room]);
                        }
                        total[0] = _mm256_add_epi64(total[0], _mm256_sll_epi64(_mm256_sad_epu8(a0, zero), shift));
                        total[1] = _mm256_add_epi64(total[1], _mm256_sll_epi64(_mm256_sad_epu8(a1, zero), shift));
                        total[2] = _mm256_add_epi64(total[2], _mm256_sll_epi64(_mm256_sad_epu8(a2, zero), shift));
                        total[3] = _mm256_add_epi64(total[3], _mm256_sll_epi64(_mm256_sad_epu8(a3, zero), shift));
                    }
                }
                const __m256i limit =
                    _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)(const void *)(c->limit + half * 4)));
                for (int32_t n = 0; n < count; n++) {
                    const int32_t pixel = y * c->out_width + x + n;
                    if (bits) {
                        const int above = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(total[n], limit)));
                        const int flip = c->flip[half / 2] >> (half % 2 * 4);
                        unsigned char *out = (unsigned char *)(bits + pixel * c->out_words) + half / 2;
                        const unsigned nibble_bits = (unsigned)(~above ^ flip) & 15u;
                        *out = (unsigned char)(half % 2 ? (*out & 15u) | (nibble_bits << 4) : nibble_bits);
                    } else {
                        int64_t wide[4];
                        _mm256_storeu_si256((__m256i *)(void *)wide,
                                            _mm256_sub_epi64(limit, _mm256_add_epi64(total[n], total[n])));
                        for (int32_t o = 0; o < 4 && half * 4 + o < c->channels; o++) {
                            sums[pixel * c->channels + half * 4 + o] = (int32_t)wide[o];
                        }
                    }
                }
            }
        }
    }
}

/* AVX-512 VPOPCNTDQ: eight outputs in a register, four pixels in flight; the comparison gives the byte of bits. */
#define LJ_COUNT512(acc, patch)                                                                                       \
    acc = _mm512_add_epi64(acc, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_set1_epi64((long long)(patch)), sign)))
#define LJ_COUNT512_MASKED(acc, patch)                                                                                \
    acc = _mm512_add_epi64(acc, _mm512_popcnt_epi64(_mm512_and_si512(                                                 \
                                    _mm512_xor_si512(_mm512_set1_epi64((long long)(patch)), sign), mask)))

LJ_AVX512 static void lj_bit_conv_avx512(const lj_bit_convolution *c, const lj_word *map, lj_word *bits, int32_t *sums,
                                         lj_word *patches)
{
    const int32_t room = c->patch_words + 1;
    if (bits && c->channels % 64) {
        memset(bits, 0, (size_t)(c->out_height * c->out_width * c->out_words) * sizeof(lj_word));
    }
    for (int32_t y = 0; y < c->out_height; y++) {
        for (int32_t x = 0; x < c->out_width; x += 4) {
            const int32_t count = c->out_width - x < 4 ? c->out_width - x : 4;
            for (int32_t n = 0; n < 4; n++) {
                const int32_t column = x + (n < count ? n : count - 1);
                lj_patch(c, map + (y * c->width + column) * c->stride * c->words, patches + n * room);
            }
            const lj_word *s = c->sign, *m = c->mask;
            for (int32_t block = 0; block * 8 < c->channels; block++) {
                __m512i total[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                                    _mm512_setzero_si512()};
                for (int32_t p = 0; p < c->planes; p++) {
                    const lj_word *x0 = patches + c->plane_start[p];
                    const lj_word *x1 = x0 + room, *x2 = x1 + room, *x3 = x2 + room;
                    const __m128i shift = _mm_cvtsi32_si128(c->plane_shift[p]);
                    const int32_t words = c->plane_words[p];
                    __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0;
                    if (c->plane_masked[p]) {
                        for (int32_t w = 0; w < words; w++, s += 8, m += 8) {
                            const __m512i sign = _mm512_loadu_si512(s), mask = _mm512_loadu_si512(m);
                            LJ_COUNT512_MASKED(a0, x0[w]);
                            LJ_COUNT512_MASKED(a1, x1[w]);
                            LJ_COUNT512_MASKED(a2, x2[w]);
                            LJ_COUNT512_MASKED(a3, x3[w]);
                        }
                    } else {
                        for (int32_t w = 0; w < words; w++, s += 8) {
                            const __m512i sign = _mm512_loadu_si512(s);
                            LJ_COUNT512(a0, x0[w]);
                            LJ_COUNT512(a1, x1[w]);
                            LJ_COUNT512(a2, x2[w]);
                            LJ_COUNT512(a3, x3[w]);
                        }
                    }
                    total[0] = _mm512_add_epi64(total[0], _mm512_sll_epi64(a0, shift));
                    total[1] = _mm512_add_epi64(total[1], _mm512_sll_epi64(a1, shift));
                    total[2] = _mm512_add_epi64(total[2], _mm512_sll_epi64(a2, shift));
                    total[3] = _mm512_add_epi64(total[3], _mm512_sll_epi64(a3, shift));
                }
                const __m512i limit =
                    _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)(c->limit + block * 8)));
                for (int32_t n = 0; n < count; n++) {
                    const int32_t pixel = y * c->out_width + x + n;
                    if (bits) {
                        const unsigned found = (unsigned)_mm512_cmple_epi64_mask(total[n], limit) ^ c->flip[block];
                        ((unsigned char *)(bits + pixel * c->out_words))[block] = (unsigned char)found;
                    } else {
                        int32_t narrow[8];
                        const __m512i sum = _mm512_sub_epi64(limit, _mm512_add_epi64(total[n], total[n]));
                        _mm256_storeu_si256((__m256i *)(void *)narrow, _mm512_cvtepi64_epi32(sum));
                        const int32_t rest = c->channels - block * 8;
                        memcpy(sums + pixel * c->channels + block * 8, narrow,
                               (size_t)(rest < 8 ? rest : 8) * sizeof(int32_t));
                    }
                }
            }
        }
    }
}

/*@ int_conv needs int_patch */
/* AVX2: eight outputs in a register, two weights at a time. */
#define LJ_MADD(acc, patch)                                                                                           \
    do {                                                                                                              \
        int32_t pair;                                                                                                 \
        memcpy(&pair, patch, sizeof(pair));                                                                           \
        acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_set1_epi32(pair), weights));                             \
    } while (0)

LJ_AVX2 static void lj_int_conv_avx2(const lj_int_convolution *c, const int16_t *map, lj_word *bits, int32_t *sums,
                                     int16_t *patches)
{
    const int32_t room = 2 * c->pairs + 2;
    if (bits && c->channels % 64) {
        memset(bits, 0, (size_t)(c->out_height * c->out_width * c->out_words) * sizeof(lj_word));
    }
    for (int32_t y = 0; y < c->out_height; y++) {
        for (int32_t x = 0; x < c->out_width; x += 4) {
            const int32_t count = c->out_width - x < 4 ? c->out_width - x : 4;
            for (int32_t n = 0; n < 4; n++) {
                const int32_t column = x + (n < count ? n : count - 1);
                lj_int_patch(c, map + (y * c->width + column) * c->stride * c->channels_in, patches + n * room);
            }
            const int8_t *k = c->kernels;
            for (int32_t block = 0; block * 8 < c->channels; block++) {
                __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                                  _mm256_setzero_si256()};
                for (int32_t p = 0; p < c->pairs; p++, k += 16) {
                    const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)k));
                    LJ_MADD(sum[0], patches + 2 * p);
                    LJ_MADD(sum[1], patches + 2 * p + room);
                    LJ_MADD(sum[2], patches + 2 * p + 2 * room);
                    LJ_MADD(sum[3], patches + 2 * p + 3 * room);
                }
                for (int32_t n = 0; n < count; n++) {
                    const int32_t pixel = y * c->out_width + x + n;
                    if (bits) {
                        const __m256i above = _mm256_loadu_si256((const __m256i *)(const void *)(c->above + block * 8));
                        const int found = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(sum[n], above)));
                        ((unsigned char *)(bits + pixel * c->out_words))[block] =
                            (unsigned char)((unsigned)found ^ c->flip[block]);
                    } else {
                        int32_t narrow[8];
                        const int32_t rest = c->channels - block * 8;
                        _mm256_storeu_si256((__m256i *)(void *)narrow, sum[n]);
                        memcpy(sums + pixel * c->channels + block * 8, narrow,
                               (size_t)(rest < 8 ? rest : 8) * sizeof(int32_t));
                    }
                }
            }
        }
    }
}

/*@ linear_bits */
LJ_POPCNT static void lj_linear_bits_popcnt(const lj_word *x, const lj_word *weights, int32_t *out, int32_t words,
                                            int32_t features, int32_t outputs)
{
    for (int32_t o = 0; o < outputs; o++, weights += words) {
        int64_t count = 0;
        for (int32_t w = 0; w < words; w++) {
            count += __builtin_popcountll((unsigned long long)(x[w] ^ weights[w]));
        }
        out[o] = features - 2 * (int32_t)count;
    }
}
