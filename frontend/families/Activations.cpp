//===- Activations.cpp - Names of activation functions --------------------===//
#include "frontend/families/Activations.h"

namespace vlmc {

namespace {
struct Named {
  std::string_view name;
  spec::Activation kind;
};
} // namespace

// The forms of one function differ in rounding only: `gelu_fast`,
// `gelu_accurate` and `gelu_new` write the constants of the tanh form in
// other ways.
static constexpr Named activations[] = {
    {"gelu", spec::GELU},
    {"gelu_accurate", spec::GELU_TANH},
    {"gelu_fast", spec::GELU_TANH},
    {"gelu_new", spec::GELU_TANH},
    {"gelu_python", spec::GELU},
    {"gelu_python_tanh", spec::GELU_TANH},
    {"gelu_pytorch_tanh", spec::GELU_TANH},
    {"leaky_relu", spec::LEAKY_RELU},
    {"linear", spec::IDENTITY},
    {"mish", spec::MISH},
    {"quick_gelu", spec::QUICK_GELU},
    {"relu", spec::RELU},
    {"relu2", spec::RELU2},
    {"relu6", spec::RELU6},
    {"sigmoid", spec::SIGMOID},
    {"silu", spec::SILU},
    {"swish", spec::SILU},
    {"tanh", spec::TANH},
};

spec::Activation readActivation(ConfigSection &section, const std::string &key,
                                std::string_view fallback) {
  std::string name = section.string(key, fallback);
  std::string known;
  for (const Named &activation : activations) {
    if (activation.name == name)
      return activation.kind;
    known += (known.empty() ? "" : ", ") + std::string(activation.name);
  }
  section.error(key, "expected an activation function that vlmc knows (" +
                         known + "), found " + describe(Json(name)) +
                         "; mend the file if it means one of them");
  return spec::IDENTITY;
}

} // namespace vlmc
