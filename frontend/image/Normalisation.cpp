//===- Normalisation.cpp - Rescaling and normalising as a table -----------===//
#include "frontend/image/ImageProcessing.h"

namespace vlmc {

// Each step is rounded where NumPy rounds it: the product is a double and then
// a float; mean and deviation become floats before they are used.
static float normalised(int value, int channel, const ImageProcessing &image) {
  float result = static_cast<float>(value);
  if (image.doRescale)
    result =
        static_cast<float>(static_cast<double>(value) * image.rescaleFactor);
  if (image.doNormalize) {
    float mean = static_cast<float>(image.mean[channel]);
    float deviation = static_cast<float>(image.std[channel]);
    float centred = result - mean;
    result = centred / deviation;
  }
  return result;
}

NormalisationTable makeNormalisationTable(const ImageProcessing &processing) {
  NormalisationTable table;
  for (int channel = 0; channel < 3; ++channel)
    for (int value = 0; value < 256; ++value)
      table[channel * 256 + value] = normalised(value, channel, processing);
  return table;
}

} // namespace vlmc
