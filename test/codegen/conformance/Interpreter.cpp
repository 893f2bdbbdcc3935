//===-- Interpreter.cpp - kernels evaluated in double precision, for tests
//-----------------------------------------------------------------===//
#include "test/codegen/conformance/Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cfloat>
#include <cmath>
#include <functional>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::test;

namespace {

class Interpreter {
public:
  std::vector<Tensor> run(vlm::KernelOp kernel,
                          const std::vector<Tensor> &operands) {
    for (auto [argument, operand] :
         llvm::zip_equal(kernel.getBody().getArguments(), operands))
      values[argument] = operand;
    for (Operation &op : kernel.getBody().front().without_terminator())
      values[op.getResult(0)] = evaluate(&op);
    std::vector<Tensor> results;
    for (Value yielded : kernel.getYielded())
      results.push_back(values[yielded]);
    return results;
  }

private:
  llvm::DenseMap<Value, Tensor> values;

  static Tensor
  make(std::vector<int64_t> shape,
       const std::function<double(int64_t row, int64_t column)> &element) {
    Tensor tensor{std::move(shape), {}};
    for (int64_t row = 0; row < tensor.rows(); ++row)
      for (int64_t column = 0; column < tensor.width(); ++column)
        tensor.data.push_back(element(row, column));
    return tensor;
  }

  Tensor evaluate(Operation *op) {
    return llvm::TypeSwitch<Operation *, Tensor>(op)
        .Case([&](vlm::LinearOp o) {
          return linear(values[o.getInput()], values[o.getWeight()],
                        o.getBias() ? &values[o.getBias()] : nullptr);
        })
        .Case([&](vlm::PatchEmbedOp o) { return patchEmbed(o); })
        .Case([&](vlm::Conv2dOp o) { return conv2d(o); })
        .Case([&](vlm::AveragePoolOp o) { return averagePool(o); })
        .Case([&](vlm::GroupMomentsOp o) { return groupMoments(o); })
        .Case([&](vlm::GroupNormOp o) { return groupNorm(o); })
        .Case([&](vlm::LeastFeatureOp o) { return leastFeature(o); })
        .Case([&](vlm::MaskFeaturesOp o) {
          const Tensor &x = values[o.getInput()];
          return make(x.shape, [&](int64_t r, int64_t c) {
            for (size_t i = 0; i < o.getRanges().size(); i += 2)
              if (c >= o.getRanges()[i] && c < o.getRanges()[i + 1])
                return -double(std::numeric_limits<float>::max());
            return x.at(r, c);
          });
        })
        .Case([&](vlm::AttentionOp o) { return attention(o); })
        .Case([&](vlm::ContrastiveLogitsOp o) {
          Tensor logits =
              linear(values[o.getImage()], values[o.getText()], nullptr);
          double scale = values[o.getLogScale()].data[0];
          for (double &x : logits.data)
            x = (o.getDivides() ? x / scale : x * std::exp(scale)) +
                (o.getBias() ? values[o.getBias()].data[0] : 0);
          return logits;
        })
        .Case([&](vlm::LayerNormOp o) { return layerNorm(o); })
        .Case([&](vlm::L2NormalizeOp o) {
          const Tensor &x = values[o.getInput()];
          return make(x.shape, [&](int64_t r, int64_t c) {
            double sum = 0;
            for (int64_t k = 0; k < x.width(); ++k)
              sum += x.at(r, k) * x.at(r, k);
            return x.at(r, c) / std::sqrt(sum);
          });
        })
        .Case([&](vlm::ActivationOp o) {
          Tensor x = values[o.getInput()];
          for (double &v : x.data)
            v = activate(o.getKind(), v);
          return x;
        })
        .Case([&](vlm::AddOp o) {
          const Tensor &a = values[o.getLhs()], &c = values[o.getRhs()];
          int64_t tokens =
              a.shape.size() > 2 ? a.shape[a.shape.size() - 2] : a.rows();
          bool same = a.shape.size() == c.shape.size();
          return make(a.shape, [&](int64_t r, int64_t k) {
            return a.at(r, k) + c.at(c.shape.size() == 1 ? 0
                                     : same              ? r
                                                         : r % tokens,
                                     k);
          });
        })
        .Case([&](vlm::EmbeddingOp o) {
          const Tensor &ids = values[o.getIds()], &table = values[o.getTable()];
          return make({ids.shape[0], ids.shape[1], table.width()},
                      [&](int64_t r, int64_t c) {
                        return table.at(int64_t(ids.data[r]), c);
                      });
        })
        .Case([&](vlm::PrependTokensOp o) {
          const Tensor &front = values[o.getTokens()],
                       &x = values[o.getInput()];
          int64_t p = front.shape[front.shape.size() - 2], t = x.shape[1];
          bool isShared = front.shape.size() == 2;
          return make(
              {x.shape[0], p + t, x.width()}, [&](int64_t r, int64_t c) {
                int64_t token = r % (p + t), batch = r / (p + t);
                return token < p
                           ? front.at((isShared ? 0 : batch * p) + token, c)
                           : x.at(batch * t + token - p, c);
              });
        })
        .Case([&](vlm::TakeTokensOp o) {
          const Tensor &x = values[o.getInput()];
          int64_t rows = o.getIndex() ? values[o.getIndex()].shape[1] : 1;
          return make({x.shape[0], rows, x.width()}, [&](int64_t r, int64_t c) {
            int64_t token = o.getIndex() ? int64_t(values[o.getIndex()].data[r])
                                         : int64_t(*o.getPosition());
            return x.at(r / rows * x.shape[1] + token, c);
          });
        })
        .Case([&](vlm::TokenIndexOp o) { return tokenIndex(o); })
        .Case([&](vlm::RmsNormOp o) { return rmsNorm(o); })
        .Case([&](vlm::GatedAddOp o) {
          const Tensor &x = values[o.getResidual()];
          const Tensor &branch = values[o.getBranch()];
          const Tensor &gate = values[o.getGate()];
          return make(x.shape, [&](int64_t r, int64_t c) {
            bool isShown = !o.getShown() || values[o.getShown()].data[r] != 0;
            double open = std::tanh(gate.data[gate.width() == 1 ? 0 : c]);
            return x.at(r, c) + (isShown ? open * branch.at(r, c) : 0);
          });
        })
        .Case([&](vlm::MultiplyOp o) {
          Tensor x = values[o.getLhs()];
          for (auto [i, v] : llvm::enumerate(x.data))
            v *= values[o.getRhs()].data[i];
          return x;
        })
        .Case([&](vlm::ScaleFeaturesOp o) {
          const Tensor &x = values[o.getInput()];
          return make(x.shape, [&](int64_t r, int64_t c) {
            return x.at(r, c) * values[o.getFactors()].at(r / x.shape[1], c);
          });
        })
        .Case([&](vlm::DepthwiseConv2dOp o) { return depthwise(o); })
        .Case([&](vlm::AddGridPositionsOp o) { return addGridPositions(o); })
        .Case([&](vlm::MaxTokensOp o) {
          const Tensor &x = values[o.getInput()];
          int64_t t = x.shape[1];
          return make({x.shape[0], x.width()}, [&](int64_t r, int64_t c) {
            double most = x.at(r * t, c);
            for (int64_t i = 1; i < t; ++i)
              most = std::max(most, x.at(r * t + i, c));
            return most;
          });
        })
        .Case([&](vlm::ScaleOp o) {
          Tensor x = values[o.getInput()];
          for (double &v : x.data)
            v *= double(float(o.getFactor().convertToDouble()));
          return x;
        })
        .Case([&](vlm::PixelUnshuffleOp o) { return unshuffle(o); })
        .Case([&](vlm::RopeTableOp o) { return ropeTable(o); })
        .Case([&](vlm::RopeOp o) { return rope(o); })
        .Case([&](vlm::MergeTokensOp o) {
          const Tensor &x = values[o.getInput()], &row = values[o.getRow()];
          const Tensor &features = values[o.getFeatures()];
          return make(x.shape, [&](int64_t r, int64_t c) {
            auto from = int64_t(row.data[r]);
            return from < 0 ? x.at(r, c) : features.at(from, c);
          });
        })
        .Case([&](vlm::SliceTokensOp o) {
          const Tensor &x = values[o.getInput()];
          int64_t begin = o.getBegin(), kept = int64_t(o.getEnd()) - begin;
          return make({x.shape[0], kept, x.width()}, [&](int64_t r, int64_t c) {
            return x.at(r / kept * x.shape[1] + begin + r % kept, c);
          });
        })
        .Case([&](vlm::ReplaceTokensOp o) {
          const Tensor &front = values[o.getTokens()],
                       &x = values[o.getInput()];
          int64_t p = front.shape[front.shape.size() - 2], t = x.shape[1];
          bool isShared = front.shape.size() == 2;
          return make(x.shape, [&](int64_t r, int64_t c) {
            int64_t batch = isShared ? 0 : r / t;
            return r % t < p ? front.at(batch * p + r % t, c) : x.at(r, c);
          });
        })
        .Case([&](vlm::MeanTokensOp o) {
          const Tensor &x = values[o.getInput()];
          int64_t t = x.shape[1];
          return make({x.shape[0], x.width()}, [&](int64_t r, int64_t c) {
            double sum = 0;
            for (int64_t i = 0; i < t; ++i)
              sum += x.at(r * t + i, c);
            return sum / double(t);
          });
        })
        .Case([&](vlm::SqueezeOp o) {
          Tensor x = values[o.getInput()];
          x.shape.erase(x.shape.begin() + (x.shape[1] == 1 ? 1 : 0));
          return x;
        })
        .Case([&](vlm::ConcatFeaturesOp o) {
          std::vector<int64_t> shape = values[o.getInputs()[0]].shape;
          shape.back() = vlm::getFeatures(o.getResult());
          return make(shape, [&](int64_t r, int64_t c) {
            for (Value input : o.getInputs()) {
              const Tensor &x = values[input];
              if (c < x.width())
                return x.at(r, c);
              c -= x.width();
            }
            return 0.0;
          });
        })
        .Case([&](vlm::SliceFeaturesOp o) {
          const Tensor &x = values[o.getInput()];
          std::vector<int64_t> shape = x.shape;
          shape.back() = int64_t(o.getEnd() - o.getBegin());
          return make(shape, [&](int64_t r, int64_t c) {
            return x.at(r, c + int64_t(o.getBegin()));
          });
        });
  }

  static Tensor linear(const Tensor &x, const Tensor &w, const Tensor *bias) {
    std::vector<int64_t> shape = x.shape;
    shape.back() = w.shape[0];
    return make(shape, [&](int64_t r, int64_t n) {
      double sum = bias ? bias->data[n] : 0;
      for (int64_t k = 0; k < x.width(); ++k)
        sum += x.at(r, k) * w.at(n, k);
      return sum;
    });
  }

  Tensor patchEmbed(vlm::PatchEmbedOp o) {
    const Tensor &x = values[o.getPixels()], &w = values[o.getWeight()];
    int64_t side = w.shape[2], down = x.shape[2] / side,
            across = x.shape[3] / side;
    return make(
        {x.shape[0], down * across, w.shape[0]}, [&](int64_t r, int64_t n) {
          int64_t batch = r / (down * across), patch = r % (down * across);
          double sum = o.getBias() ? values[o.getBias()].data[n] : 0;
          for (int64_t c = 0; c < x.shape[1]; ++c)
            for (int64_t i = 0; i < side; ++i)
              for (int64_t j = 0; j < side; ++j)
                sum += x.data[((batch * x.shape[1] + c) * x.shape[2] +
                               patch / across * side + i) *
                                  x.shape[3] +
                              patch % across * side + j] *
                       w.data[((n * x.shape[1] + c) * side + i) * side + j];
          return sum;
        });
  }

  Tensor conv2d(vlm::Conv2dOp o) {
    const Tensor &x = values[o.getInput()], &w = values[o.getWeight()];
    int64_t height = o.getHeight(), width = o.getWidth(), c = w.shape[3];
    auto [down, across] = o.getResultSize();
    int64_t places = down * across, wide = across;
    auto pixel = [&](int64_t batch, int64_t i, int64_t j, int64_t channel) {
      if (i < 0 || i >= height || j < 0 || j >= width)
        return 0.0;
      if (o.readsPlanes())
        return x.data[((batch * c + channel) * height + i) * width + j];
      return x.data[((batch * height + i) * width + j) * c + channel];
    };
    return make(
        {x.shape[0], places, w.shape[0]}, [&](int64_t r, int64_t n) {
          double sum = o.getBias() ? values[o.getBias()].data[n] : 0;
          int64_t stride = o.getStride(), place = r % places;
          int64_t top = place / wide * stride - o.getPadding()[0];
          int64_t left = place % wide * stride - o.getPadding()[1];
          for (int64_t i = 0; i < w.shape[1]; ++i)
            for (int64_t j = 0; j < w.shape[2]; ++j)
              for (int64_t k = 0; k < c; ++k)
                sum += pixel(r / places, top + i, left + j, k) *
                       w.data[((n * w.shape[1] + i) * w.shape[2] + j) * c + k];
          return sum;
        });
  }

  Tensor depthwise(vlm::DepthwiseConv2dOp o) {
    const Tensor &x = values[o.getInput()], &w = values[o.getWeight()];
    int64_t height = o.getHeight(), width = o.getWidth();
    auto [down, across] = o.getResultSize();
    int64_t places = down * across, wide = across;
    return make({x.shape[0], places, x.width()}, [&](int64_t r, int64_t c) {
      double sum = o.getBias() ? values[o.getBias()].data[c] : 0;
      int64_t stride = o.getStride(), place = r % places;
      for (int64_t i = 0; i < w.shape[0]; ++i)
        for (int64_t j = 0; j < w.shape[1]; ++j) {
          int64_t y = place / wide * stride - o.getPadding()[0] + i;
          int64_t at = place % wide * stride - o.getPadding()[1] + j;
          if (y >= 0 && y < height && at >= 0 && at < width)
            sum += x.at((r / places * height + y) * width + at, c) *
                   w.at(i * w.shape[1] + j, c);
        }
      return sum;
    });
  }

  /// What place `i` of `n` reads of each of a table's places.
  static std::vector<double> resizedPlace(int64_t i, int64_t n, int64_t side) {
    std::vector<double> weights;
    double scale = double(side) / double(n), center = scale * (double(i) + 0.5);
    double total = 0;
    for (int64_t j = 0; j < side; ++j) {
      double distance =
          std::abs(double(j) + 0.5 - center) / std::max(scale, 1.0);
      weights.push_back(std::max(0.0, 1 - distance));
      total += weights.back();
    }
    for (double &weight : weights)
      weight /= total;
    return weights;
  }

  Tensor addGridPositions(vlm::AddGridPositionsOp o) {
    const Tensor &x = values[o.getInput()], &table = values[o.getTable()];
    const Tensor &grid = values[o.getGrid()];
    int64_t side = o.getSide(), tokens = x.shape[1];
    return make(x.shape, [&](int64_t r, int64_t c) {
      auto lines = int64_t(grid.at(r / tokens, 0)),
           columns = int64_t(grid.at(r / tokens, 1));
      int64_t token = r % tokens < lines * columns ? r % tokens : 0;
      int64_t line = token / columns, column = token % columns;
      if (std::optional<ArrayRef<float>> boundaries = o.getBoundaries()) {
        auto bucket = [&](int64_t i, int64_t n) {
          float place = std::min(float(i) * (1.0F / float(n)),
                                 float(1.0 - 1e-6));
          return llvm::count_if(*boundaries,
                                [&](float b) { return b <= place; });
        };
        return x.at(r, c) +
               table.at(bucket(line, lines) * side + bucket(column, columns),
                        c);
      }
      bool isNarrow = columns == 1 && lines != side;
      std::vector<double> down =
          resizedPlace(isNarrow ? 0 : line, lines, side);
      std::vector<double> across = resizedPlace(column, columns, side);
      double sum = x.at(r, c);
      for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; ++j)
          sum += down[i] * across[j] * table.at(i * side + j, c);
      return sum;
    });
  }

  Tensor unshuffle(vlm::PixelUnshuffleOp o) {
    const Tensor &x = values[o.getInput()];
    int64_t height = o.getHeight(), width = o.getWidth(), size = o.getSize();
    int64_t down = height / size, across = width / size, places = down * across;
    return make({x.shape[0], places, size * size * x.width()},
                [&](int64_t r, int64_t c) {
                  int64_t square = r % places, pixel = c / x.width();
                  int64_t row = o.getTransposed() ? square % down
                                                  : square / across;
                  int64_t column = o.getTransposed() ? square / down
                                                     : square % across;
                  return x.at(r / places * height * width +
                                  (row * size + pixel / size) * width +
                                  column * size + pixel % size,
                              c % x.width());
                });
  }

  Tensor averagePool(vlm::AveragePoolOp o) {
    const Tensor &x = values[o.getInput()];
    int64_t height = o.getHeight(), width = o.getWidth(), size = o.getSize();
    int64_t across = width / size, places = height / size * across;
    return make({x.shape[0], places, x.width()}, [&](int64_t r, int64_t c) {
      double sum = 0;
      for (int64_t i = 0; i < size; ++i)
        for (int64_t j = 0; j < size; ++j)
          sum += x.at(r / places * height * width +
                          (r % places / across * size + i) * width +
                          r % places % across * size + j,
                      c);
      return sum / double(size * size);
    });
  }

  Tensor layerNorm(vlm::LayerNormOp o) {
    const Tensor &x = values[o.getInput()], &w = values[o.getWeight()],
                 &b = values[o.getBias()];
    int64_t group = o.getGroup() ? int64_t(o.getGroup()) : w.width();
    int64_t period = w.width();
    return make(x.shape, [&](int64_t r, int64_t c) {
      double mean = 0, squares = 0;
      int64_t first = c / group * group;
      for (int64_t k = first; k < first + group; ++k)
        mean += x.at(r, k) / double(group);
      for (int64_t k = first; k < first + group; ++k)
        squares += (x.at(r, k) - mean) * (x.at(r, k) - mean) / double(group);
      return (x.at(r, c) - mean) /
                 std::sqrt(squares + o.getEpsilon().convertToDouble()) *
                 w.data[c % period] +
             b.data[c % period];
    });
  }

  Tensor groupMoments(vlm::GroupMomentsOp o) {
    const Tensor &x = values[o.getInput()];
    int64_t groups = o.getGroups(), channels = x.width() / groups;
    int64_t pixels = x.shape[1];
    return make({x.shape[0], groups, 2}, [&](int64_t r, int64_t which) {
      int64_t picture = r / groups, first = r % groups * channels;
      auto meanOf = [&](auto term) {
        double sum = 0;
        for (int64_t t = 0; t < pixels; ++t)
          for (int64_t c = 0; c < channels; ++c)
            sum += term(x.at(picture * pixels + t, first + c));
        return sum / double(pixels * channels);
      };
      double mean = meanOf([](double v) { return v; });
      double variance = meanOf([=](double v) { return std::pow(v - mean, 2); });
      return which == 0
                 ? mean
                 : 1 / std::sqrt(variance + o.getEpsilon().convertToDouble());
    });
  }

  Tensor groupNorm(vlm::GroupNormOp o) {
    const Tensor &x = values[o.getInput()], &m = values[o.getMoments()];
    int64_t groups = m.shape[1], channels = x.width() / groups;
    return make(x.shape, [&](int64_t r, int64_t c) {
      int64_t row = r / x.shape[1] * groups + c / channels;
      return (x.at(r, c) - m.at(row, 0)) * m.at(row, 1) *
                 values[o.getWeight()].data[c] +
             values[o.getBias()].data[c];
    });
  }

  Tensor leastFeature(vlm::LeastFeatureOp o) {
    const Tensor &x = values[o.getInput()];
    Tensor result{{x.shape[0], x.shape[1]}, {}};
    for (int64_t r = 0; r < x.rows(); ++r) {
      auto first = x.data.begin() + r * x.width();
      int64_t least = std::min_element(first, first + x.width()) - first;
      result.data.push_back(o.getIds() ? double((*o.getIds())[least])
                                       : double(least));
    }
    return result;
  }

  Tensor attention(vlm::AttentionOp o) {
    const Tensor &q = values[o.getQuery()], &k = values[o.getKey()],
                 &v = values[o.getValue()];
    int64_t heads = o.getNumHeads(), size = q.width() / heads,
            group = heads / int64_t(o.getNumKvHeads());
    int64_t queries = q.shape[1], keys = k.shape[1];
    // Elements of one head come one after the other and share their weights.
    std::vector<double> scores(keys);
    double total = 0;
    return make(q.shape, [&](int64_t r, int64_t c) {
      int64_t batch = r / queries, head = c / size, keyHead = head / group;
      auto weighted = [&] {
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j)
          sum += scores[j] * v.at(batch * keys + j, keyHead * size + c % size);
        return sum / total;
      };
      if (c % size != 0)
        return weighted();
      int64_t position = o.getQueryPosition()
                             ? int64_t(values[o.getQueryPosition()].data[r])
                             : r % queries;
      double maximum = -DBL_MAX;
      for (int64_t j = 0; j < keys; ++j) {
        scores[j] = 0;
        for (int64_t d = 0; d < size; ++d)
          scores[j] += q.at(r, head * size + d) *
                       k.at(batch * keys + j, keyHead * size + d) *
                       o.getScale().convertToDouble();
        if (o.getDistanceBias()) {
          const Tensor &bias = values[o.getDistanceBias()];
          int64_t reach = bias.width() / 2;
          scores[j] += bias.at(
              head, std::clamp<int64_t>(j - position, -reach, reach) + reach);
        }
        if ((o.getCausal() && j > position) ||
            (o.getKeyValid() &&
             values[o.getKeyValid()].data[batch * keys + j] == 0 &&
             (!o.getAmongInvalid() ||
              values[o.getKeyValid()].data[batch * keys + r % queries] == 0)))
          scores[j] = -FLT_MAX;
        maximum = std::max(maximum, scores[j]);
      }
      total = 0;
      for (double &score : scores) {
        score = std::exp(score - maximum);
        total += score;
      }
      return weighted();
    });
  }

  Tensor tokenIndex(vlm::TokenIndexOp o) {
    const Tensor &ids = values[o.getIds()];
    return make({ids.shape[0], 1}, [&](int64_t r, int64_t) {
      int64_t found = -1;
      for (int64_t t = 0; t < ids.width(); ++t)
        if (o.getKind() == vlm::TokenIndexKind::ArgMax
                ? found < 0 || ids.at(r, t) > ids.at(r, found)
                : found < 0 && ids.at(r, t) == double(int64_t(o.getId())))
          found = t;
      return double(std::max<int64_t>(found, 0));
    });
  }

  Tensor rmsNorm(vlm::RmsNormOp o) {
    const Tensor &x = values[o.getInput()], &weight = values[o.getWeight()];
    int64_t group = weight.width();
    return make(x.shape, [&](int64_t r, int64_t c) {
      double squares = 0;
      for (int64_t k = c / group * group; k < c / group * group + group; ++k)
        squares += x.at(r, k) * x.at(r, k);
      double root =
          std::sqrt(squares / double(group) + o.getEpsilon().convertToDouble());
      return x.at(r, c) / root *
             (weight.data[c % group] + o.getOffset().convertToDouble());
    });
  }

  Tensor ropeTable(vlm::RopeTableOp o) {
    const Tensor &position = values[o.getPosition()];
    llvm::ArrayRef<float> frequencies = o.getFrequencies();
    int64_t half = frequencies.size();
    return make({position.shape[0], position.shape[1], 2 * half},
                [&](int64_t r, int64_t c) {
                  // The angle itself is an f32.
                  float angle = float(position.data[r]) * frequencies[c % half];
                  return o.getScale().convertToDouble() *
                         (c < half ? std::cos(double(angle))
                                   : std::sin(double(angle)));
                });
  }

  Tensor rope(vlm::RopeOp o) {
    const Tensor &x = values[o.getInput()], &table = values[o.getTable()];
    int64_t head = x.width() / int64_t(o.getNumHeads());
    int64_t half = table.width() / 2;
    Tensor result = x;
    for (int64_t r = 0; r < x.rows(); ++r)
      for (int64_t first = 0; first < x.width(); first += head)
        for (int64_t i = 0; i < half; ++i) {
          int64_t a = first + (o.getInterleaved() ? 2 * i : i);
          int64_t b = o.getInterleaved() ? a + 1 : a + half;
          double c = table.at(r, i), s = table.at(r, half + i);
          result.data[r * x.width() + a] = x.at(r, a) * c - x.at(r, b) * s;
          result.data[r * x.width() + b] = x.at(r, b) * c + x.at(r, a) * s;
        }
    return result;
  }

  static double activate(vlm::ActivationKind kind, double x) {
    using Kind = vlm::ActivationKind;
    auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    switch (kind) {
    case Kind::Identity:
      return x;
    case Kind::Relu:
      return std::max(x, 0.0);
    case Kind::Relu2:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Kind::Relu6:
      return std::clamp(x, 0.0, 6.0);
    case Kind::LeakyRelu:
      return x < 0 ? 0.01 * x : x;
    case Kind::QuickGelu:
      return x * sigmoid(1.702 * x);
    case Kind::Gelu:
      return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Kind::GeluTanh:
      return x / 2 *
             (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Kind::Silu:
      return x * sigmoid(x);
    case Kind::Sigmoid:
      return sigmoid(x);
    case Kind::Tanh:
      return std::tanh(x);
    case Kind::Mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Kind::HardTanh:
      return std::clamp(x, -1.0, 1.0);
    }
    return NAN;
  }
};

} // namespace

std::vector<Tensor> test::interpret(vlm::KernelOp kernel,
                                    const std::vector<Tensor> &operands) {
  return Interpreter().run(kernel, operands);
}
