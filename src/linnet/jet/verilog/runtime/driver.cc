// Feeds frames into one design and writes what comes out: FRAMES RESULTS COUNT SEED LATENCY
namespace run${number} {

static const size_t IN_WORDS = ${in_words}, OUT_WORDS = ${out_words}, PIXELS = ${pixels};
static uint32_t state = 1;

static uint32_t random_below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return n ? state % n : 0;
}

template <size_t N> const uint32_t *words(const cxxrtl::value<N> &v) { return v.data; }
template <size_t N> const uint32_t *words(const cxxrtl::wire<N> &v) { return v.curr.data; }

static design${number}::p_${name} top;
static FILE *results;
static uint64_t clocks = 0, last_output = 0;

static void clock(bool reset, const uint32_t *pixel, bool keep)
{
    top.p_rst.set<bool>(reset);
    top.p_in__valid.set<bool>(pixel != nullptr);
    for (size_t k = 0; k < IN_WORDS; k++)
        top.p_in__data.data[k] = pixel ? pixel[k] : random_below(~0u);
    if (${in_bits} % 32)
        top.p_in__data.data[IN_WORDS - 1] &= (1u << (${in_bits} % 32)) - 1;
    top.p_clk.set<bool>(false);
    top.step();
    if (keep && *words(top.p_out__valid) & 1) {
        fwrite(words(top.p_out__data), 4, OUT_WORDS, results);
        last_output = clocks;
    }
    top.p_clk.set<bool>(true);
    top.step();
    clocks++;
}

static int run(char **arguments)
{
    FILE *frames = fopen(arguments[0], "rb");
    results = fopen(arguments[1], "wb");
    if (!frames || !results)
        return 2;
    const int number = atoi(arguments[2]);
    state = (uint32_t)atoi(arguments[3]) | 1u;
    const uint32_t latency = (uint32_t)atoi(arguments[4]);
    std::vector<uint32_t> pixel(IN_WORDS);

    // Pixels before the reset leave every register in disorder, as power-up does.
    for (uint32_t k = 0; k < PIXELS + random_below(2 * PIXELS); k++) {
        for (auto &word : pixel)
            word = random_below(~0u);
        clock(false, random_below(4) ? pixel.data() : nullptr, false);
    }
    clock(true, nullptr, false);

    uint64_t last_pixel = 0;
    for (int n = 0; n < number; n++) {
        const uint32_t wait[] = {0, 0, 1, random_below(8), random_below(latency + 4), latency + 2};
        for (uint32_t k = wait[random_below(6)]; n && k; k--)
            clock(false, nullptr, true);
        const uint32_t gaps = random_below(2) ? 0 : 1 + random_below(3);
        for (size_t k = 0; k < PIXELS; k++) {
            if (fread(pixel.data(), 4, IN_WORDS, frames) != IN_WORDS)
                return 2;
            while (gaps && random_below(4) < gaps)
                clock(false, nullptr, true);
            last_pixel = clocks;
            clock(false, pixel.data(), true);
        }
    }
    for (uint32_t k = 0; k < latency; k++)
        clock(false, nullptr, true);
    printf("%llu %llu\n", (unsigned long long)clocks, (unsigned long long)(last_output - last_pixel));
    return fclose(results) != 0;
}

} // namespace run${number}
