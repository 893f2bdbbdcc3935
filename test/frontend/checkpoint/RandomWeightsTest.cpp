//===- RandomWeightsTest.cpp - Tests of random weights --------------------===//
#include "frontend/checkpoint/RandomWeights.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace vlmc;

static std::vector<float> valuesOf(const WeightSource &source,
                                   std::string_view name) {
  const WeightTensor *tensor = source.find(name);
  std::vector<float> values(tensor->bytes / sizeof(float));
  source.make(*tensor, 0, static_cast<int64_t>(values.size()), values.data());
  return values;
}

TEST(RandomWeights, DependOnSeedNameAndIndexAlone) {
  RandomWeights weights(7, {{"a", {100, 3}}, {"b", {300}}});
  RandomWeights again(7, {{"b", {300}}, {"a", {300}}, {"c", {}}});
  RandomWeights other(8, {{"a", {100, 3}}});
  std::vector<float> a = valuesOf(weights, "a");
  EXPECT_EQ(a, valuesOf(again, "a"));
  EXPECT_NE(a, valuesOf(weights, "b"));
  EXPECT_NE(a, valuesOf(other, "a"));
  EXPECT_EQ(a[17], randomValue(7, "a", 17));
  float part[2];
  weights.make(*weights.find("a"), 17, 2, part);
  EXPECT_EQ(part[0], a[17]);
  EXPECT_EQ(part[1], a[18]);
  EXPECT_EQ(valuesOf(again, "c").size(), 1u);
}

// The bits must never change: compiled artefacts are compared by them.
TEST(RandomWeights, HaveTheseBits) {
  std::vector<float> values;
  for (uint64_t i = 0; i < 4; ++i)
    values.push_back(randomValue(1, "x", i));
  EXPECT_EQ(values, (std::vector<float>{-0.629036546F, 0.366305918F,
                                        -0.854872346F, -0.568249881F}));
}

TEST(RandomWeights, HaveTheMeanAndDeviationAskedFor) {
  RandomWeights weights(3, {{"w", {64, 1024}, 2.0F, 0.5F}});
  double sum = 0, squares = 0;
  std::vector<float> values = valuesOf(weights, "w");
  for (float value : values) {
    sum += value;
    squares += (value - 2.0) * (value - 2.0);
  }
  double count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 2.0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / count), 0.5, 0.01);
}

// Four tebibytes: only what is read is ever made.
TEST(RandomWeights, TakeNoMemory) {
  RandomWeights weights(3, {{"w", {1 << 20, 1 << 20}}});
  float value = 0;
  weights.make(*weights.find("w"), (int64_t(1) << 40) - 1, 1, &value);
  EXPECT_EQ(value, randomValue(3, "w", (uint64_t(1) << 40) - 1));
}

TEST(RandomWeights, HaveNoOtherTensors) {
  RandomWeights weights(3, {{"w", {2}}, {"a", {2}}});
  EXPECT_EQ(weights.find("x"), nullptr);
  EXPECT_EQ(weights.names(), (std::vector<std::string>{"a", "w"}));
  EXPECT_EQ(weights.find("w")->file, "random weights of seed 3");
}
