//===- TinyModel.h - A small spec for tests -------------------------------===//
//
//   spec::ModelSpec model = tinyModel();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_FRONTEND_BLOCKS_TINYMODEL_H
#define VLMC_TEST_FRONTEND_BLOCKS_TINYMODEL_H

#include "frontend/spec/Spec.h"

namespace vlmc {

inline spec::ModelSpec tinyModel() {
  return *parseSpec(R"(
    name: "tiny"
    components {
      name: "vision"
      vision_transformer {
        blocks { hidden_size: 16 intermediate_size: 24 layers: 2 heads: 4
                 activation: QUICK_GELU norm_epsilon: 1e-05 }
        image_size: 20 patch_size: 8 channels: 3
        class_token: true pre_norm: true post_norm: true pool: CLASS_TOKEN
        projection_size: 8 normalize: true
      }
    }
    components {
      name: "text"
      text_transformer {
        blocks { hidden_size: 12 intermediate_size: 20 layers: 1 heads: 3
                 activation: GELU norm_epsilon: 0.001 }
        vocabulary_size: 100 max_tokens: 9 causal: true
        pool: FIRST_END_TOKEN end_token_id: 99
        projection_size: 8 normalize: true
      }
    }
    components {
      name: "similarity"
      contrastive_head { image: "vision" text: "text" probability: SOFTMAX }
    }
    weights { canonical: "vision.layers.{}.mlp" names: "v.h.{}.mlp" }
    weights { canonical: "vision" names: "v" names: "old.v" }
    weights { canonical: "text" names: "t" }
    weights { canonical: "similarity" names: "s" }
    ignored_tensors: "v.position_ids"
  )",
                    "tiny.textproto");
}

} // namespace vlmc

#endif // VLMC_TEST_FRONTEND_BLOCKS_TINYMODEL_H
