// What each op's verifier says.
// RUN: vlmc-opt %s --split-input-file --verify-diagnostics

func.func @get_weight() -> tensor<4xf32> {
  // expected-error@+1 {{names no weight: 'w'}}
  %0 = vlm.get_weight @w : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

vlm.weight @w : tensor<4xf32> = #vlm.recipe<read "w" : tensor<4xf32>>
func.func @get_weight() -> tensor<5xf32> {
  // expected-error@+1 {{gives 'tensor<5xf32>', but weight 'w' is 'tensor<4xf32>'}}
  %0 = vlm.get_weight @w : tensor<5xf32>
  return %0 : tensor<5xf32>
}

// -----

func.func @linear(%x: tensor<?x60xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  // expected-error@+1 {{'input' must have 64 features (K of 'weight' [N, K]), but has 60}}
  %0 = vlm.linear %x, %w : (tensor<?x60xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

func.func @linear(%x: tensor<f32>, %w: tensor<96x64xf32>) -> tensor<96xf32> {
  // expected-error@+1 {{'input' must have at least one dimension, but is 'tensor<f32>'}}
  %0 = vlm.linear %x, %w : (tensor<f32>, tensor<96x64xf32>) -> tensor<96xf32>
  return %0 : tensor<96xf32>
}

// -----

func.func @linear(%x: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x96xf32> {
  // expected-error@+1 {{'weight' must have rank 2, but is 'tensor<64xf32>'}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

func.func @linear(%x: tensor<?x64xf32>, %w: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // expected-error@+1 {{'weight' must have a static shape, but is 'tensor<?x64xf32>'}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

func.func @linear(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>, %b: tensor<95xf32>) -> tensor<?x96xf32> {
  // expected-error@+1 {{'bias' must have shape [96], but is 'tensor<95xf32>'}}
  %0 = vlm.linear %x, %w bias %b : (tensor<?x64xf32>, tensor<96x64xf32>, tensor<95xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

func.func @linear(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x97xf32> {
  // expected-error@+1 {{'result' must have shape [?, 96], but is 'tensor<?x97xf32>'}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x97xf32>
  return %0 : tensor<?x97xf32>
}

// -----

func.func @patch_embed(%x: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x4xf32>) -> tensor<?x16x64xf32> {
  // expected-error@+1 {{'weight' must hold square patches, but is 'tensor<64x3x8x4xf32>'}}
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x4xf32>) -> tensor<?x16x64xf32>
  return %0 : tensor<?x16x64xf32>
}

// -----

func.func @patch_embed(%x: tensor<?x3x?x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32> {
  // expected-error@+1 {{'pixels' must have static height and width, but is 'tensor<?x3x?x32xf32>'}}
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x?x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  return %0 : tensor<?x16x64xf32>
}

// -----

func.func @patch_embed(%x: tensor<?x1x32x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32> {
  // expected-error@+1 {{'pixels' must have the 3 channels of 'weight', but is 'tensor<?x1x32x32xf32>'}}
  %0 = vlm.patch_embed %x, %w : (tensor<?x1x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  return %0 : tensor<?x16x64xf32>
}

// -----

func.func @patch_embed(%x: tensor<?x3x7x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x0x64xf32> {
  // expected-error@+1 {{'pixels' must hold at least one patch of 8x8, but is 'tensor<?x3x7x32xf32>'}}
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x7x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x0x64xf32>
  return %0 : tensor<?x0x64xf32>
}

// -----

func.func @conv2d(%x: tensor<?x60x4xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{'input' must hold 8x8 pixels of static channels, but is 'tensor<?x60x4xf32>'}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x60x4xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x4x8x7xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{'input' must be planes of 8x8 pixels, but is 'tensor<?x4x8x7xf32>'}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x4x8x7xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x64x5xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{'input' must have the 4 channels of 'weight', but has 5}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x5xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x64x4xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{needs a 'stride' of at least 1 and a 'padding' of four sizes, but has 0 and [1, 1, 1, 1]}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 0 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x4xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x64x4xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{needs a 'stride' of at least 1 and a 'padding' of four sizes, but has 1 and [1, 1]}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1>}
      : (tensor<?x64x4xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x64x4xf32>, %w: tensor<6x9x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{has a kernel of 9x3, which is larger than the padded picture}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 0, 0, 0, 0>}
      : (tensor<?x64x4xf32>, tensor<6x9x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @conv2d(%x: tensor<?x64x4xf32>, %w: tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32> {
  // expected-error@+1 {{'result' must have shape [?, 36, 6], but is 'tensor<?x64x6xf32>'}}
  %0 = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 0, 0, 0, 0>}
      : (tensor<?x64x4xf32>, tensor<6x3x3x4xf32>) -> tensor<?x64x6xf32>
  return %0 : tensor<?x64x6xf32>
}

// -----

func.func @average_pool(%x: tensor<?x64x4xf32>) -> tensor<?x16x4xf32> {
  // expected-error@+1 {{'height' and 'width' must be at least 1, but are 0 and 8}}
  %0 = vlm.average_pool %x {height = 0 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x4xf32>) -> tensor<?x16x4xf32>
  return %0 : tensor<?x16x4xf32>
}

// -----

func.func @average_pool(%x: tensor<?x64x4xf32>) -> tensor<?x16x4xf32> {
  // expected-error@+1 {{'size' must be 1 to 8, but is 9}}
  %0 = vlm.average_pool %x {height = 8 : i64, width = 8 : i64, size = 9 : i64} : (tensor<?x64x4xf32>) -> tensor<?x16x4xf32>
  return %0 : tensor<?x16x4xf32>
}

// -----

func.func @average_pool(%x: tensor<?x64x4xf32>) -> tensor<?x64x4xf32> {
  // expected-error@+1 {{'result' must have shape [?, 16, 4], but is 'tensor<?x64x4xf32>'}}
  %0 = vlm.average_pool %x {height = 8 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x4xf32>) -> tensor<?x64x4xf32>
  return %0 : tensor<?x64x4xf32>
}

// -----

func.func @attention(%q: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'num_heads' must be a multiple of 'num_kv_heads', but they are 4 and 3}}
  %0 = vlm.attention %q, %q, %q {num_heads = 4 : i64, num_kv_heads = 3 : i64, scale = 1.0 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'query' must have a multiple of 6 features (num_heads), but has 64}}
  %0 = vlm.attention %q, %q, %q {num_heads = 6 : i64, num_kv_heads = 6 : i64, scale = 1.0 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<?x9x64xf32>, %k: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'key' must have shape [?, 9, 32], but is 'tensor<?x9x64xf32>'}}
  %0 = vlm.attention %q, %k, %k {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<?x9x64xf32>, %p: tensor<?x8xi32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'query_position' must have shape [?, 9], but is 'tensor<?x8xi32>'}}
  %0 = vlm.attention %q, %q, %q query_position %p {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x8xi32>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<1x9x64xf32>, %k: tensor<?x5x64xf32>, %p: tensor<1x9xi32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'query_position' must be absent where all sequences share 'query', which is 'tensor<1x9x64xf32>'}}
  %0 = vlm.attention %q, %k, %k query_position %p {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<1x9x64xf32>, tensor<?x5x64xf32>, tensor<?x5x64xf32>, tensor<1x9xi32>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<2x9x64xf32>, %k: tensor<3x5x64xf32>) -> tensor<3x9x64xf32> {
  // expected-error@+1 {{'key' must have shape [2, 5, 64], but is 'tensor<3x5x64xf32>'}}
  %0 = vlm.attention %q, %k, %k {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<2x9x64xf32>, tensor<3x5x64xf32>, tensor<3x5x64xf32>) -> tensor<3x9x64xf32>
  return %0 : tensor<3x9x64xf32>
}

// -----

func.func @attention(%q: tensor<?x9x64xf32>, %m: tensor<?x8xi64>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'key_valid' must have shape [?, 9], but is 'tensor<?x8xi64>'}}
  %0 = vlm.attention %q, %q, %q key_valid %m {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x8xi64>) -> tensor<?x9x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @attention(%q: tensor<?x5x64xf32>, %k: tensor<?x9x64xf32>, %m: tensor<?x9xi64>) -> tensor<?x5x64xf32> {
  // expected-error@+1 {{'among_invalid' needs 'key_valid' alone and as many queries as keys, but 'query' is 'tensor<?x5x64xf32>' and 'key' 'tensor<?x9x64xf32>'}}
  %0 = vlm.attention %q, %k, %k key_valid %m {among_invalid, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<?x5x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9xi64>) -> tensor<?x5x64xf32>
  return %0 : tensor<?x5x64xf32>
}

// -----

func.func @contrastive_logits(%i: tensor<?x64xf32>, %t: tensor<?x32xf32>, %s: tensor<1xf32>) -> tensor<?x?xf32> {
  // expected-error@+1 {{'image' and 'text' must have the same number of features, but are 'tensor<?x64xf32>' and 'tensor<?x32xf32>'}}
  %0 = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x32xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @contrastive_logits(%i: tensor<?x64xf32>, %t: tensor<?x64xf32>, %s: tensor<2xf32>) -> tensor<?x?xf32> {
  // expected-error@+1 {{'log_scale' must have shape [1], but is 'tensor<2xf32>'}}
  %0 = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<2xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<24xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'weight' must have a divisor of the 64 features of 'input', but has 24}}
  %0 = vlm.layer_norm %x, %w, %w {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<24xf32>, tensor<24xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<32xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bias' must have shape [32], but is 'tensor<64xf32>'}}
  %0 = vlm.layer_norm %x, %w, %b {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<32xf32>, tensor<64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @layer_norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'epsilon' must not be negative}}
  %0 = vlm.layer_norm %x, %w, %w {epsilon = -1.0e-05 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @add(%x: tensor<64xf32>, %y: tensor<?x64xf32>) -> tensor<64xf32> {
  // expected-error@+1 {{'rhs' must not have more dimensions than 'lhs', but they are 'tensor<?x64xf32>' and 'tensor<64xf32>'}}
  %0 = vlm.add %x, %y : tensor<64xf32>, tensor<?x64xf32>
  return %0 : tensor<64xf32>
}

// -----

func.func @add(%x: tensor<?x9x64xf32>, %y: tensor<8x64xf32>) -> tensor<?x9x64xf32> {
  // expected-error@+1 {{'rhs' must have the last dimensions of 'lhs', but they are 'tensor<8x64xf32>' and 'tensor<?x9x64xf32>'}}
  %0 = vlm.add %x, %y : tensor<?x9x64xf32>, tensor<8x64xf32>
  return %0 : tensor<?x9x64xf32>
}

// -----

func.func @embedding(%ids: tensor<?x?xi64>, %t: tensor<100x64xf32>) -> tensor<?x?x32xf32> {
  // expected-error@+1 {{'result' must have shape [?, ?, 64], but is 'tensor<?x?x32xf32>'}}
  %0 = vlm.embedding %ids, %t : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}

// -----

func.func @prepend_tokens(%c: tensor<1x64xf32>, %x: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
  // expected-error@+1 {{'input' must have a static number of tokens, but is 'tensor<?x?x64xf32>'}}
  %0 = vlm.prepend_tokens %c, %x : (tensor<1x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  return %0 : tensor<?x?x64xf32>
}

// -----

func.func @prepend_tokens(%c: tensor<3x1x64xf32>, %x: tensor<2x9x64xf32>) -> tensor<2x10x64xf32> {
  // expected-error@+1 {{'tokens' must be a static number, for every sequence or for each of 'input', but is 'tensor<3x1x64xf32>' beside 'tensor<2x9x64xf32>'}}
  %0 = vlm.prepend_tokens %c, %x : (tensor<3x1x64xf32>, tensor<2x9x64xf32>) -> tensor<2x10x64xf32>
  return %0 : tensor<2x10x64xf32>
}

// -----

func.func @prepend_tokens(%c: tensor<1x32xf32>, %x: tensor<?x9x64xf32>) -> tensor<?x10x64xf32> {
  // expected-error@+1 {{'tokens' must have the 64 features of 'input', but is 'tensor<1x32xf32>'}}
  %0 = vlm.prepend_tokens %c, %x : (tensor<1x32xf32>, tensor<?x9x64xf32>) -> tensor<?x10x64xf32>
  return %0 : tensor<?x10x64xf32>
}

// -----

func.func @token_index(%ids: tensor<?x?xi64>) -> tensor<?x2xi32> {
  // expected-error@+1 {{'result' must have shape [?, 1], but is 'tensor<?x2xi32>'}}
  %0 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x2xi32>
  return %0 : tensor<?x2xi32>
}

// -----

func.func @take_tokens(%x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  // expected-error@+1 {{needs either 'index' or 'position'}}
  %0 = vlm.take_tokens %x : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %0 : tensor<?x1x64xf32>
}

// -----

func.func @take_tokens(%x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  // expected-error@+1 {{'position' must be within the tokens of 'tensor<?x9x64xf32>', but is 9}}
  %0 = vlm.take_tokens %x at 9 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %0 : tensor<?x1x64xf32>
}

// -----

func.func @take_tokens(%x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  // expected-error@+1 {{'position' must be within the tokens of 'tensor<?x9x64xf32>', but is -10}}
  %0 = vlm.take_tokens %x at -10 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %0 : tensor<?x1x64xf32>
}

// -----

func.func @squeeze(%x: tensor<?x9x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'input' must have exactly one token or one sequence, but is 'tensor<?x9x64xf32>'}}
  %0 = vlm.squeeze %x : (tensor<?x9x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @concat_features(%x: tensor<?x64xf32>, %y: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'vlm.concat_features' op 'result' must have shape [?, 96], but is 'tensor<?x64xf32>'}}
  %0 = vlm.concat_features %x, %y : (tensor<?x64xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @concat_features_of_others(%x: tensor<?x64xf32>, %y: tensor<3x?x32xf32>) -> tensor<?x96xf32> {
  // expected-error@+1 {{'vlm.concat_features' op 'inputs' must have shape [?, 32], but is 'tensor<3x?x32xf32>'}}
  %0 = vlm.concat_features %x, %y : (tensor<?x64xf32>, tensor<3x?x32xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}

// -----

func.func @slice_features(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{[40, 72] must lie within the 64 features of 'input'}}
  %0 = vlm.slice_features %x [40, 72] : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

func.func @group(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{yields other types than its results}}
  %0 = vlm.group rows (%a = %x) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    %1 = vlm.slice_features %a [0, 32] : (tensor<?x64xf32>) -> tensor<?x32xf32>
    vlm.yield %1 : tensor<?x32xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

func.func @group(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{unknown anchor 'gem'}}
  %0 = vlm.group gem (%a = %x) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    vlm.yield %a : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

func.func @group(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected 1 operand types, but there are 0}}
  %0 = vlm.group rows (%a = %x) : () -> tensor<?x64xf32> {
    vlm.yield %a : tensor<?x64xf32>
  }
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{may hold tensor-level vlm ops only, but holds 'arith.addf'}}
vlm.kernel @k(%x: tensor<4xf32>) -> tensor<4xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = arith.addf %x, %x : tensor<4xf32>
  vlm.yield %0 : tensor<4xf32>
}

// -----

func.func @call(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{calls no known kernel: 'k'}}
  %0 = vlm.call @k(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
func.func @operands(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{calls 'k' with 2 operands for 1 results, but it has 1 and 1}}
  %0 = vlm.call @k(%x, %x) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
func.func @operand_type(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{operand 0 is 'tensor<?x32xf32>', but 'k' takes 'tensor<?x64xf32>'}}
  %0 = vlm.call @k(%x) : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
func.func @result_type(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{result 0 is 'tensor<?x32xf32>', but 'k' gives 'tensor<?x64xf32>'}}
  %0 = vlm.call @k(%x) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

func.func @group(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{must have one block argument of the same type for each operand}}
  %0 = "vlm.group"(%x) <{anchor = #vlm<anchor_kind rows>}> ({
  ^bb0(%a: tensor<?x32xf32>):
    "vlm.yield"(%a) : (tensor<?x32xf32>) -> ()
  }) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return %x : tensor<?x64xf32>
}

// -----

func.func @group(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{must end in 'vlm.yield'}}
  %0 = "vlm.group"(%x) <{anchor = #vlm<anchor_kind rows>}> ({
  ^bb0(%a: tensor<?x64xf32>):
    "vlm.l2_normalize"(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  }) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{region #0 ('body') failed to verify constraint: region with 1 blocks}}
vlm.kernel private @k(tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>}
