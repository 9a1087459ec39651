/* Runs all frames of a file on one path: driver PATH FRAMES RESULTS. */
#include <stdio.h>
#include <stdlib.h>

#include "${name}.h"

int main(int argc, char **argv)
{
    const size_t input_size = ${upper}_INPUT_SIZE, output_size = sizeof(int32_t) * ${upper}_OUTPUT_SIZE;
    FILE *frames, *results;
    ${pixel} *frame = malloc(input_size);
    int32_t *result = malloc(output_size);
    void *workspace = malloc(${upper}_WORKSPACE_BYTES); /* exactly: a sanitizer sees a byte too many */
    int status = 1;
    if (argc != 4 || !frame || !result || !workspace) {
        return 1;
    }
    frames = fopen(argv[2], "rb");
    results = fopen(argv[3], "wb");
    if (frames && results) {
        status = 0;
        while (status == 0 && fread(frame, 1, input_size, frames) == input_size) {
            if (${name}_run_path(frame, result, workspace, atoi(argv[1])) != 0) {
                status = 3;
            } else if (fwrite(result, 1, output_size, results) != output_size) {
                status = 1;
            }
        }
    }
    if (results && fclose(results) != 0) {
        status = 1;
    }
    if (frames) {
        fclose(frames);
    }
    free(frame);
    free(result);
    free(workspace);
    return status;
}
