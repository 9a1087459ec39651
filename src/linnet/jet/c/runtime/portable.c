/*@ popcount */
/* Bits set in a word: the compiler's builtin only where it is an instruction, never a call of its library. */
static inline int32_t lj_popcount(lj_word x)
{
#if LJ_WORD_BITS == 64
#if defined(__POPCNT__) || defined(__aarch64__)
    return (int32_t)__builtin_popcountll((unsigned long long)x);
#else
    x = x - ((x >> 1) & UINT64_C(0x5555555555555555));
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int32_t)((x * UINT64_C(0x0101010101010101)) >> 56);
#endif
#else
    x = x - ((x >> 1) & UINT32_C(0x55555555));
    x = (x & UINT32_C(0x33333333)) + ((x >> 2) & UINT32_C(0x33333333));
    x = (x + (x >> 4)) & UINT32_C(0x0f0f0f0f);
    return (int32_t)((x * UINT32_C(0x01010101)) >> 24);
#endif
}

/*@ append */
/* Puts `bits` bits after those that stand in *out already; the words after them need no zeros. */
static inline void lj_append(lj_word **out, int32_t *fill, lj_word value, int32_t bits)
{
    **out |= (lj_word)(value << *fill);
    if (*fill + bits >= LJ_WORD_BITS) {
        *out += 1;
        **out = *fill + bits > LJ_WORD_BITS ? (lj_word)(value >> (LJ_WORD_BITS - *fill)) : 0;
        *fill += bits - LJ_WORD_BITS;
    } else {
        *fill += bits;
    }
}

/* The channels of one pixel after those that stand there already. */
static inline void lj_append_pixel(lj_word **out, int32_t *fill, const lj_word *pixel, int32_t channels)
{
    for (; channels > 0; channels -= LJ_WORD_BITS) {
        lj_append(out, fill, *pixel++, channels < LJ_WORD_BITS ? channels : LJ_WORD_BITS);
    }
}

/*@ pack needs append */
/* All pixels of a map one after another, without the tails of their words. */
static void lj_pack(const lj_word *map, lj_word *out, int32_t pixels, int32_t channels)
{
    const int32_t words = (channels + LJ_WORD_BITS - 1) / LJ_WORD_BITS;
    int32_t fill = 0;
    *out = 0;
    for (int32_t n = 0; n < pixels; n++) {
        lj_append_pixel(&out, &fill, map + n * words, channels);
    }
}

/*@ pad_bits */
/* A map of bits with a border; `border` is one pixel of it. */
static void lj_pad_bits(const lj_word *map, lj_word *out, int32_t height, int32_t width, int32_t words, int32_t pad,
                        const lj_word *border)
{
    for (int32_t y = -pad; y < height + pad; y++) {
        for (int32_t x = -pad; x < width + pad; x++) {
            if (y >= 0 && y < height && x == 0) {
                memcpy(out, map + y * width * words, (size_t)(width * words) * sizeof(lj_word));
                out += width * words;
                x = width - 1;
            } else {
                memcpy(out, border, (size_t)words * sizeof(lj_word));
                out += words;
            }
        }
    }
}

/*@ bit_conv_type */
/* A convolution of bits: the bits under the kernel are packed, group by group of places, into one patch; each plane
   counts, over the words of one group, the bits that differ from the weights' signs, and weighs 2^shift. */
typedef struct {
    int32_t groups, planes, places, patch_words;
    const int32_t *group_places;  /* places of each group */
    const int32_t *group_start;   /* first word of each group */
    const int32_t *offset;        /* word offset of each place from the upper left pixel */
    const int32_t *plane_start, *plane_words, *plane_shift, *plane_masked;
    int32_t sign_words, mask_words; /* of one output */
    const lj_word *sign, *mask;   /* [output / lanes][plane word][lanes] */
    int32_t channels_in, width, words, stride; /* of the padded source */
    int32_t out_height, out_width, channels, out_words;
    const int32_t *limit;         /* +1 where count <= limit, or the sum is limit - 2 count */
    const unsigned char *flip;    /* 8 outputs a byte */
} lj_bit_convolution;

/*@ patch needs append bit_conv_type */
static inline void lj_patch(const lj_bit_convolution *c, const lj_word *at, lj_word *patch)
{
    const int32_t *offset = c->offset;
    if (c->channels_in % LJ_WORD_BITS == 0) { /* no tails: whole words, place by place */
        for (int32_t place = 0; place < c->places; place++) {
            const lj_word *pixel = at + offset[place];
            for (int32_t w = 0; w < c->words; w++) {
                *patch++ = pixel[w];
            }
        }
        return;
    }
    for (int32_t g = 0; g < c->groups; g++) {
        lj_word *out = patch + c->group_start[g];
        int32_t fill = 0;
        *out = 0;
        for (int32_t place = 0; place < c->group_places[g]; place++) {
            lj_append_pixel(&out, &fill, at + *offset++, c->channels_in);
        }
    }
}

/*@ bit_conv needs popcount patch */
static inline int32_t lj_bit_count(const lj_bit_convolution *c, const lj_word *patch, int32_t o)
{
    const lj_word *sign = c->sign + (o / LJ_LANES) * c->sign_words * LJ_LANES + o % LJ_LANES;
    const lj_word *mask = c->mask + (o / LJ_LANES) * c->mask_words * LJ_LANES + o % LJ_LANES;
    int32_t total = 0;
    for (int32_t p = 0; p < c->planes; p++) {
        const lj_word *x = patch + c->plane_start[p], *const end = x + c->plane_words[p];
        int32_t count = 0;
        if (c->plane_masked[p]) {
            for (; x < end; x++, sign += LJ_LANES, mask += LJ_LANES) {
                lj_word differ = *x ^ *sign;
                differ &= *mask;
                count += lj_popcount(differ);
            }
        } else {
            for (; x < end; x++, sign += LJ_LANES) {
                count += lj_popcount(*x ^ *sign);
            }
        }
        total += count * ((int32_t)1 << c->plane_shift[p]);
    }
    return total;
}

static void lj_bit_conv_portable(const lj_bit_convolution *c, const lj_word *map, lj_word *bits, int32_t *sums, lj_word *patch)
{
    for (int32_t y = 0; y < c->out_height; y++) {
        for (int32_t x = 0; x < c->out_width; x++) {
            lj_patch(c, map + (y * c->width + x) * c->stride * c->words, patch);
            lj_word word = 0;
            for (int32_t o = 0; o < c->channels; o++) {
                const int32_t count = lj_bit_count(c, patch, o);
                if (sums) {
                    *sums++ = c->limit[o] - 2 * count;
                    continue;
                }
                const int32_t flip = (c->flip[o / 8] >> (o % 8)) & 1;
                word |= (lj_word)((count <= c->limit[o]) != flip) << (o % LJ_WORD_BITS);
                if (o % LJ_WORD_BITS == LJ_WORD_BITS - 1 || o == c->channels - 1) {
                    *bits++ = word;
                    word = 0;
                }
            }
        }
    }
}

/*@ widen */
/* Pixels, or whole numbers of a map, as 16-bit numbers with a border. */
static void lj_widen(const LJ_PIXEL *map, int16_t *out, int32_t height, int32_t width, int32_t channels, int32_t pad,
                     int16_t border)
{
    for (int32_t y = -pad; y < height + pad; y++) {
        for (int32_t x = -pad; x < width + pad; x++) {
            const int inside = y >= 0 && y < height && x >= 0 && x < width;
            const LJ_PIXEL *pixel = map + (inside ? (y * width + x) * channels : 0);
            for (int32_t c = 0; c < channels; c++) {
                *out++ = inside ? (int16_t)pixel[c] : border;
            }
        }
    }
}

/*@ narrow */
static void lj_narrow(const int32_t *map, int16_t *out, int32_t height, int32_t width, int32_t channels, int32_t pad,
                      int16_t border)
{
    for (int32_t y = -pad; y < height + pad; y++) {
        for (int32_t x = -pad; x < width + pad; x++) {
            const int inside = y >= 0 && y < height && x >= 0 && x < width;
            const int32_t *pixel = map + (inside ? (y * width + x) * channels : 0);
            for (int32_t c = 0; c < channels; c++) {
                *out++ = inside ? (int16_t)pixel[c] : border;
            }
        }
    }
}

/*@ int_conv_type */
/* A convolution of 16-bit numbers. */
typedef struct {
    int32_t size, pairs;          /* places an axis; half of the padded number of weights of one output */
    const int8_t *kernels;        /* [output / lanes][pair][lanes][2] */
    int32_t channels_in, width, stride; /* of the padded source */
    int32_t out_height, out_width, channels, out_words;
    const int32_t *above;         /* +1 where the sum > above; unused for sums */
    const unsigned char *flip;
} lj_int_convolution;

/*@ int_patch needs int_conv_type */
static inline void lj_int_patch(const lj_int_convolution *c, const int16_t *at, int16_t *patch)
{
    const int32_t row = c->size * c->channels_in;
    for (int32_t i = 0; i < c->size; i++) {
        memcpy(patch + i * row, at + i * c->width * c->channels_in, (size_t)row * sizeof(int16_t));
    }
    patch[c->size * row] = 0; /* the weight that makes a pair */
}

/*@ int_conv needs int_patch */
/* The bit of output o in its word. */
static inline lj_word lj_int_bit(const lj_int_convolution *c, int32_t o, int32_t sum)
{
    const uint32_t flip = ((uint32_t)c->flip[o / 8] >> (o % 8)) & 1u;
    return (lj_word)((uint32_t)(sum > c->above[o]) ^ flip) << (o % LJ_WORD_BITS);
}

/* Two outputs side by side read each number of the patch once; the second repeats the first where one is left. */
static void lj_int_conv_portable(const lj_int_convolution *c, const int16_t *map, lj_word *bits, int32_t *sums, int16_t *patch)
{
    const int32_t pairs = c->pairs, channels = c->channels, next = LJ_LANES == 1 ? 2 * pairs : 2;
    for (int32_t y = 0; y < c->out_height; y++) {
        for (int32_t x = 0; x < c->out_width; x++) {
            lj_word word = 0;
            lj_int_patch(c, map + (y * c->width + x) * c->stride * c->channels_in, patch);
            for (int32_t o = 0; o < channels; o += 2) {
                const int8_t *k = c->kernels + ((o / LJ_LANES) * pairs * LJ_LANES + o % LJ_LANES) * 2;
                const int8_t *l = o + 1 < channels ? k + next : k;
                int32_t first = 0, second = 0;
                for (int32_t p = 0; p < pairs; p++, k += 2 * LJ_LANES, l += 2 * LJ_LANES) {
                    const int32_t a = patch[2 * p], b = patch[2 * p + 1];
                    first += a * k[0];
                    second += a * l[0];
                    first += b * k[1];
                    second += b * l[1];
                }
                if (sums) {
                    *sums++ = first;
                    if (o + 1 < channels) {
                        *sums++ = second;
                    }
                    continue;
                }
                word |= lj_int_bit(c, o, first);
                if (o + 1 < channels) {
                    word |= lj_int_bit(c, o + 1, second);
                }
                if ((o + 2) % LJ_WORD_BITS == 0 || o + 2 >= channels) {
                    *bits++ = word;
                    word = 0;
                }
            }
        }
    }
}

/*@ linear_bits needs popcount */
/* +-1 weights on bits: the sum is features - 2 * (bits that differ). */
static void lj_linear_bits_portable(const lj_word *x, const lj_word *weights, int32_t *out, int32_t words, int32_t features,
                                    int32_t outputs)
{
    for (int32_t o = 0; o < outputs; o++, weights += words) {
        int32_t count = 0;
        for (int32_t w = 0; w < words; w++) {
            count += lj_popcount(x[w] ^ weights[w]);
        }
        out[o] = features - 2 * count;
    }
}

/*@ linear_ints */
/* +-1 weights on whole numbers; a bit is 1 for +1. */
static void lj_linear_ints(const int32_t *x, const lj_word *weights, int32_t *out, int32_t words, int32_t features,
                           int32_t outputs)
{
    for (int32_t o = 0; o < outputs; o++, weights += words) {
        int32_t sum = 0;
        for (int32_t f = 0; f < features; f++) {
            const int plus = (int)((weights[f / LJ_WORD_BITS] >> (f % LJ_WORD_BITS)) & 1);
            sum += plus ? x[f] : -x[f];
        }
        out[o] = sum;
    }
}

/*@ threshold */
static void lj_threshold(const int32_t *map, lj_word *bits, int32_t pixels, int32_t channels, const int32_t *above,
                         const unsigned char *flips)
{
    for (int32_t n = 0; n < pixels; n++) {
        lj_word word = 0;
        for (int32_t c = 0; c < channels; c++) {
            const int32_t flip = (flips[c / 8] >> (c % 8)) & 1;
            word |= (lj_word)((*map++ > above[c]) != flip) << (c % LJ_WORD_BITS);
            if (c % LJ_WORD_BITS == LJ_WORD_BITS - 1 || c == channels - 1) {
                *bits++ = word;
                word = 0;
            }
        }
    }
}

/*@ pool_bits */
/* OR of the bits in a window, or AND where `both` is 1. */
static void lj_pool_bits(const lj_word *map, lj_word *out, int32_t width, int32_t words, int32_t out_height,
                         int32_t out_width, const int32_t *window, const lj_word *both)
{
    for (int32_t y = 0; y < out_height; y++) {
        for (int32_t x = 0; x < out_width; x++) {
            const lj_word *at = map + (y * window[2] * width + x * window[3]) * words;
            for (int32_t w = 0; w < words; w++) {
                lj_word any = 0, all = (lj_word)~(lj_word)0;
                for (int32_t i = 0; i < window[0]; i++) {
                    for (int32_t j = 0; j < window[1]; j++) {
                        const lj_word value = at[(i * width + j) * words + w];
                        any |= value;
                        all &= value;
                    }
                }
                *out++ = (any & ~both[w]) | (all & both[w]);
            }
        }
    }
}

/*@ pool_ints */
/* Sum or largest of the numbers in a window. */
static void lj_pool_ints(const int32_t *map, int32_t *out, int32_t width, int32_t channels, int32_t out_height,
                         int32_t out_width, const int32_t *window, int largest)
{
    for (int32_t y = 0; y < out_height; y++) {
        for (int32_t x = 0; x < out_width; x++) {
            const int32_t *at = map + (y * window[2] * width + x * window[3]) * channels;
            for (int32_t c = 0; c < channels; c++) {
                int32_t result = largest ? at[c] : 0;
                for (int32_t i = 0; i < window[0]; i++) {
                    for (int32_t j = 0; j < window[1]; j++) {
                        const int32_t value = at[(i * width + j) * channels + c];
                        result = largest ? (value > result ? value : result) : result + value;
                    }
                }
                *out++ = result;
            }
        }
    }
}

/*@ spread_bits */
/* Bits as +1 and -1. */
static void lj_spread_bits(const lj_word *bits, int32_t *out, int32_t pixels, int32_t channels)
{
    const int32_t words = (channels + LJ_WORD_BITS - 1) / LJ_WORD_BITS;
    for (int32_t n = 0; n < pixels; n++, bits += words) {
        for (int32_t c = 0; c < channels; c++) {
            *out++ = (bits[c / LJ_WORD_BITS] >> (c % LJ_WORD_BITS)) & 1 ? 1 : -1;
        }
    }
}

/*@ spread_pixels */
static void lj_spread_pixels(const LJ_PIXEL *pixels, int32_t *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) {
        out[n] = (int32_t)pixels[n];
    }
}

/*@ add */
static void lj_add(const int32_t *a, const int32_t *b, int32_t *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) {
        out[n] = a[n] + b[n];
    }
}

/*@ weighted_add */
/* Two maps, each times one whole number a channel: channels numbers for the first, then as many for the second. */
static void lj_weighted_add(const int32_t *a, const int32_t *b, int32_t *out, int32_t pixels, int32_t channels, const int32_t *multipliers)
{
    for (int32_t n = 0; n < pixels; n++) {
        for (int32_t c = 0; c < channels; c++) {
            out[n * channels + c] = a[n * channels + c] * multipliers[c] + b[n * channels + c] * multipliers[channels + c];
        }
    }
}

/*@ concat needs append */
/* The channels of one map after those of another, pixel by pixel. */
static void lj_concat(const lj_word *a, const lj_word *b, lj_word *out, int32_t pixels, int32_t first, int32_t second)
{
    const int32_t words_a = (first + LJ_WORD_BITS - 1) / LJ_WORD_BITS, words_b = (second + LJ_WORD_BITS - 1) / LJ_WORD_BITS;
    const int32_t words = (first + second + LJ_WORD_BITS - 1) / LJ_WORD_BITS;
    for (int32_t n = 0; n < pixels; n++, out += words) {
        lj_word *at = out;
        int32_t fill = 0;
        *at = 0;
        lj_append_pixel(&at, &fill, a + n * words_a, first);
        lj_append_pixel(&at, &fill, b + n * words_b, second);
    }
}

/*@ scores */
static void lj_scores(const int32_t *x, int32_t *out, int32_t pixels, int32_t channels, const int32_t *multipliers,
                      const int32_t *offsets)
{
    for (int32_t n = 0; n < pixels; n++) {
        for (int32_t c = 0; c < channels; c++) {
            *out++ = *x++ * multipliers[c] + offsets[c];
        }
    }
}

/*@ channel_first */
/* Height, width, channel to channel, height, width: the order of features. */
static void lj_channel_first(const int32_t *map, int32_t *out, int32_t pixels, int32_t channels)
{
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t n = 0; n < pixels; n++) {
            *out++ = map[n * channels + c];
        }
    }
}

/*@ gather_bits */
/* The first bit of each number's sign as packed bits: +1 is 1. */
static void lj_gather_bits(const int32_t *values, lj_word *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) {
        if (n % LJ_WORD_BITS == 0) {
            out[n / LJ_WORD_BITS] = 0;
        }
        out[n / LJ_WORD_BITS] |= (lj_word)(values[n] > 0) << (n % LJ_WORD_BITS);
    }
}
