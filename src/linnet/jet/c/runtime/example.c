/* Runs ${name} on one frame and prints its result: ./main frame.raw, or ./main for a black frame. */
#include <stdio.h>
#include <string.h>

#include "${name}.h"

static ${pixel} frame[${upper}_INPUT_SIZE / sizeof(${pixel})];
static int32_t result[${upper}_OUTPUT_SIZE];
static uint64_t workspace[(${upper}_WORKSPACE_BYTES + 7) / 8];

int main(int argc, char **argv)
{
    memset(frame, 0, sizeof(frame));
    if (argc > 1) {
        FILE *file = fopen(argv[1], "rb");
        if (file == NULL || fread(frame, 1, sizeof(frame), file) != sizeof(frame)) {
            fprintf(stderr, "%s: a file of %u bytes is needed, rows of pixels, channel last\n", argv[1],
                    (unsigned)sizeof(frame));
            return 1;
        }
        fclose(file);
    }
    ${name}_run(frame, result, workspace);
    for (int n = 0; n < ${upper}_OUTPUT_SIZE; n++) {
        printf("%ld\n", (long)result[n]);
    }
    return 0;
}
