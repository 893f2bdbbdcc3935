/* classify.c: which of some labels fits a picture?
 *   classify NAME.vlm picture.png "a photo of a cat" "a photo of a dog"
 */
#include <stdio.h>
#include <stdlib.h>
#include <vlm.h>

/* Prints what is wrong, if anything; 1 if something is. */
static int failed(vlm_status_t *status) {
  if (!status)
    return 0;
  fprintf(stderr, "classify: %s\n", vlm_status_message(status));
  vlm_status_destroy(status);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s NAME.vlm PICTURE LABEL...\n", argv[0]);
    return 2;
  }
  const char *const *labels = (const char *const *)argv + 3;
  size_t count = (size_t)argc - 3;
  vlm_model_t *model = NULL;
  vlm_image_t *image = NULL;
  float *probabilities = malloc(count * sizeof *probabilities);

  int bad =
      !probabilities || failed(vlm_model_load(argv[1], NULL, &model)) ||
      failed(vlm_image_decode_file(argv[2], NULL, &image)) ||
      failed(vlm_classify(model, image, labels, count, NULL, probabilities));
  for (size_t i = 0; !bad && i < count; ++i)
    printf("%7.3f %%  %s\n", 100 * (double)probabilities[i], labels[i]);

  free(probabilities);
  vlm_image_destroy(image);
  vlm_model_destroy(model);
  return bad;
}
