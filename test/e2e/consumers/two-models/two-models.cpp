//===- two-models.cpp - Two models in one process -------------------------===//
//
//   two-models ONE TWO PICTURE LABEL...
//
// ONE and TWO are weights files of linked models, or packages. The models
// answer one after the other and then both at once, which must give the same.
//
//===----------------------------------------------------------------------===//
#include <one.h>
#include <two.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

using Model = std::unique_ptr<vlm_model_t, decltype(&vlm_model_destroy)>;
using Answer = std::vector<float>;

/// Whether all is well; tells what is not.
static bool done(vlm_status_t *status) {
  if (!status)
    return true;
  std::fprintf(stderr, "two-models: %s\n", vlm_status_message(status));
  vlm_status_destroy(status);
  return false;
}

static Model loadOne(const char *path) {
  vlm_model_t *model = nullptr;
#if LINK_ONE
  bool isLoaded = done(one_load_linked(path, nullptr, &model));
#else
  bool isLoaded = done(vlm_model_load(path, nullptr, &model));
#endif
  return {isLoaded ? model : nullptr, vlm_model_destroy};
}

static Model loadTwo(const char *path) {
  vlm_model_t *model = nullptr;
#if LINK_TWO
  bool isLoaded = done(two_load_linked(path, nullptr, &model));
#else
  bool isLoaded = done(vlm_model_load(path, nullptr, &model));
#endif
  return {isLoaded ? model : nullptr, vlm_model_destroy};
}

static Answer classify(const Model &model, const vlm_image_t *image,
                       const std::vector<const char *> &labels) {
  Answer answer(labels.size());
  bool isDone = done(vlm_classify(model.get(), image, labels.data(),
                                  labels.size(), nullptr, answer.data()));
  return isDone ? answer : Answer();
}

static void print(const Answer &answer,
                  const std::vector<const char *> &labels) {
  for (size_t i = 0; i < answer.size(); ++i)
    std::printf("%7.3f %%  %s\n", 100 * double(answer[i]), labels[i]);
}

int main(int argc, char **argv) {
  if (argc < 5)
    return 2;
  std::vector<const char *> labels(argv + 4, argv + argc);
  Model one = loadOne(argv[1]), two = loadTwo(argv[2]);
  vlm_image_t *image = nullptr;
  if (!one || !two || !done(vlm_image_decode_file(argv[3], nullptr, &image)))
    return 1;
  Answer first = classify(one, image, labels);
  Answer second = classify(two, image, labels);
  Answer firstAgain, secondAgain;
  std::thread thread([&] { firstAgain = classify(one, image, labels); });
  secondAgain = classify(two, image, labels);
  thread.join();
  vlm_image_destroy(image);
  if (first.empty() || second.empty())
    return 1;
  if (first != firstAgain || second != secondAgain) {
    std::fprintf(stderr, "two-models: other answers when both run at once\n");
    return 1;
  }
  print(first, labels);
  print(second, labels);
  return 0;
}
