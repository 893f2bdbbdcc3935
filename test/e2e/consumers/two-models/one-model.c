/* one-model.c: the header of a compiled model in C: `one-model PACKAGE PICTURE`
 * prints the picture's embedding, a number a line. */
#include <one.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(vlm_status_t *status) {
  if (!status)
    return 0;
  fprintf(stderr, "one-model: %s\n", vlm_status_message(status));
  vlm_status_destroy(status);
  return 1;
}

int main(int argc, char **argv) {
  vlm_model_t *model = NULL;
  vlm_image_t *image = NULL;
  int64_t height = 0, width = 0, columns = 0;
  if (argc != 3 || failed(one_load(argv[1], NULL, &model)) ||
      failed(vlm_image_decode_file(argv[2], NULL, &image)) ||
      failed(vlm_embedding_width(model, &columns)) ||
      failed(vlm_model_preprocess_size(model, vlm_image_height(image),
                                       vlm_image_width(image), &height,
                                       &width)))
    return 1;
  float *pixels = malloc(3 * (size_t)height * (size_t)width * sizeof *pixels);
  float *embedding = malloc((size_t)columns * sizeof *embedding);
  int bad = !pixels || !embedding ||
            failed(vlm_model_preprocess(model, image, pixels)) ||
            failed(one_encode_image(model, 1, pixels, embedding));
  for (int64_t i = 0; !bad && i < columns; ++i)
    printf("%.9g\n", (double)embedding[i]);
  free(pixels);
  free(embedding);
  vlm_image_destroy(image);
  vlm_model_destroy(model);
  return bad;
}
