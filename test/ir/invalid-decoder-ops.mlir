// What the verifiers of the ops that decoders need say.
// RUN: vlmc-opt %s --split-input-file --verify-diagnostics

func.func @rms_norm(%x: tensor<1x?x64xf32>, %w: tensor<24xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'weight' must have a divisor of the 64 features of 'input', but has 24}}
  %y = vlm.rms_norm %x, %w {epsilon = 1.0e-06 : f64} : tensor<1x?x64xf32>, tensor<24xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @rms_norm(%x: tensor<1x?x64xf32>, %w: tensor<64xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'epsilon' must not be negative}}
  %y = vlm.rms_norm %x, %w {epsilon = -1.0 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @rope_table(%p: tensor<1x?xi32>) -> tensor<1x?x6xf32> {
  // expected-error@+1 {{'result' must have shape [1, ?, 4], but is 'tensor<1x?x6xf32>'}}
  %c = vlm.rope_table %p {frequencies = array<f32: 1.0, 0.1>} : (tensor<1x?xi32>) -> tensor<1x?x6xf32>
  return %c : tensor<1x?x6xf32>
}

// -----

func.func @rope(%x: tensor<1x?x64xf32>, %c: tensor<1x?x4xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'input' must have a multiple of 3 features (num_heads), but has 64}}
  %y = vlm.rope %x, %c {num_heads = 3 : i64} : tensor<1x?x64xf32>, tensor<1x?x4xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @rope(%x: tensor<1x?x64xf32>, %c: tensor<1x?x18xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'table' must have an even number of features, at most the 16 of a head, but has 18}}
  %y = vlm.rope %x, %c {num_heads = 4 : i64} : tensor<1x?x64xf32>, tensor<1x?x18xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @slice_tokens(%x: tensor<?x50x64xf32>) -> tensor<?x51x64xf32> {
  // expected-error@+1 {{[0, 51] must lie within the 50 tokens of 'input'}}
  %y = vlm.slice_tokens %x [0, 51] : (tensor<?x50x64xf32>) -> tensor<?x51x64xf32>
  return %y : tensor<?x51x64xf32>
}

// -----

func.func @slice_tokens(%x: tensor<?x?x64xf32>) -> tensor<?x5x64xf32> {
  // expected-error@+1 {{'result' must have shape [?, 4, 64], but is 'tensor<?x5x64xf32>'}}
  %y = vlm.slice_tokens %x [1, 5] : (tensor<?x?x64xf32>) -> tensor<?x5x64xf32>
  return %y : tensor<?x5x64xf32>
}

// -----

func.func @replace_tokens(%q: tensor<9x64xf32>, %x: tensor<?x8x64xf32>) -> tensor<?x8x64xf32> {
  // expected-error@+1 {{'tokens' must have a static number of tokens and no more than 'input', but they are 'tensor<9x64xf32>' and 'tensor<?x8x64xf32>'}}
  %y = vlm.replace_tokens %q, %x : tensor<9x64xf32>, tensor<?x8x64xf32>
  return %y : tensor<?x8x64xf32>
}

// -----

func.func @replace_tokens(%q: tensor<64xf32>, %x: tensor<?x8x64xf32>) -> tensor<?x8x64xf32> {
  // expected-error@+1 {{'tokens' must have 2 or 3 dimensions, but is 'tensor<64xf32>'}}
  %y = vlm.replace_tokens %q, %x : tensor<64xf32>, tensor<?x8x64xf32>
  return %y : tensor<?x8x64xf32>
}

// -----

func.func @replace_tokens(%q: tensor<?x4x32xf32>, %x: tensor<?x8x64xf32>) -> tensor<?x8x64xf32> {
  // expected-error@+1 {{'tokens' must have shape [?, 4, 64], but is 'tensor<?x4x32xf32>'}}
  %y = vlm.replace_tokens %q, %x : tensor<?x4x32xf32>, tensor<?x8x64xf32>
  return %y : tensor<?x8x64xf32>
}

// -----

func.func @mean_tokens(%x: tensor<?x8x64xf32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{'result' must have shape [?, 64], but is 'tensor<?x32xf32>'}}
  %y = vlm.mean_tokens %x : (tensor<?x8x64xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @merge_tokens(%x: tensor<1x?x64xf32>, %f: tensor<?x32xf32>, %r: tensor<1x?xi32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'features' must have shape [?, 64], but is 'tensor<?x32xf32>'}}
  %y = vlm.merge_tokens %x, %f, %r : tensor<1x?x64xf32>, tensor<?x32xf32>, tensor<1x?xi32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @cache_layer(%c: tensor<3x2x2x16xf32>) {
  // expected-error@+1 {{'cache' must be a cache (encoding #vlm.cache), but is 'tensor<3x2x2x16xf32>'}}
  %l = vlm.cache_layer %c[1] : (tensor<3x2x2x16xf32>) -> tensor<2x2x16xf32, #vlm.cache>
  return
}

// -----

func.func @cache_layer(%c: tensor<3x2x2x16xf32, #vlm.cache>) {
  // expected-error@+1 {{'layer' must be within the 3 layers of 'cache', but is 3}}
  %l = vlm.cache_layer %c[3] : (tensor<3x2x2x16xf32, #vlm.cache>) -> tensor<2x2x16xf32, #vlm.cache>
  return
}

// -----

func.func @cache_layer(%c: tensor<3x1x2x16xf32, #vlm.cache>) {
  // expected-error@+1 {{'cache' must hold keys and values (size 2 before the heads), but is 'tensor<3x1x2x16xf32, #vlm.cache>'}}
  %l = vlm.cache_layer %c[0] : (tensor<3x1x2x16xf32, #vlm.cache>) -> tensor<1x2x16xf32, #vlm.cache>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x?x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x?xi32>) {
  // expected-error@+1 {{'window' must be 0 beside 'first' and 'last', but is 7}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s query_sequence %s first %s last %s {num_heads = 2 : i64, scale = 1.0 : f64, window = 7 : i64}
      : (tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>,
         tensor<1x?xi32>, tensor<1x?xi32>, tensor<1x?xi32>) -> tensor<1x?x32xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>, %t: tensor<1x4xi32>) {
  // expected-error@+1 {{'last' must have shape [1, 3], but is 'tensor<1x4xi32>'}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s query_sequence %s first %s last %t {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x3xi32>, tensor<1x3xi32>, tensor<1x4xi32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>, %t: tensor<1x4xi32>) {
  // expected-error@+1 {{'query_sequence' must have shape [1, 3], but is 'tensor<1x4xi32>'}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s query_sequence %t first %t last %t {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x4xi32>, tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>, %t: tensor<1x4xi32>) {
  // expected-error@+1 {{'last' must have shape [1, 3], but is 'tensor<1x4xi32>'}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s first %s last %t {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x3xi32>, tensor<1x4xi32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>) {
  // expected-error@+1 {{'query_sequence' must have 'first' and 'last' beside it, which are not there}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s query_sequence %s {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x3xi32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @pixel_unshuffle(%x: tensor<?x15x64xf32>) -> tensor<?x4x256xf32> {
  // expected-error@+1 {{'size' must divide 'height' and 'width', but they are 2, 3 and 5}}
  %y = vlm.pixel_unshuffle %x {height = 3 : i64, width = 5 : i64, size = 2 : i64} : (tensor<?x15x64xf32>) -> tensor<?x4x256xf32>
  return %y : tensor<?x4x256xf32>
}

// -----

func.func @pixel_unshuffle(%x: tensor<?x16x64xf32>) -> tensor<?x4x64xf32> {
  // expected-error@+1 {{'result' must have shape [?, 4, 256], but is 'tensor<?x4x64xf32>'}}
  %y = vlm.pixel_unshuffle %x {height = 4 : i64, width = 4 : i64, size = 2 : i64} : (tensor<?x16x64xf32>) -> tensor<?x4x64xf32>
  return %y : tensor<?x4x64xf32>
}

// -----

func.func @gated_add(%x: tensor<1x?x64xf32>, %g: tensor<4xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'gate' must have 1 element or the 64 features of 'residual', but has 4}}
  %y = vlm.gated_add %x, %x, %g : tensor<1x?x64xf32>, tensor<4xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @gated_add(%x: tensor<1x8x64xf32>, %g: tensor<1xf32>, %s: tensor<1x7xi32>) -> tensor<1x8x64xf32> {
  // expected-error@+1 {{'shown' must have shape [1, 8], but is 'tensor<1x7xi32>'}}
  %y = vlm.gated_add %x, %x, %g shown %s : tensor<1x8x64xf32>, tensor<1xf32>, tensor<1x7xi32>
  return %y : tensor<1x8x64xf32>
}

// -----

func.func @cached_attention(%q: tensor<1x?x48xf32>, %k: tensor<1x?x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x?xi32>) {
  // expected-error@+1 {{'num_heads' must be a multiple of the cache's 2 heads, but is 3}}
  %y = vlm.cached_attention %q, %k, %k, %c sequence %s position %s {num_heads = 3 : i64, scale = 1.0 : f64}
      : (tensor<1x?x48xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>)
      -> tensor<1x?x48xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x?x64xf32>, %k: tensor<1x?x48xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x?xi32>) {
  // expected-error@+1 {{'key' must have shape [1, ?, 32], but is 'tensor<1x?x48xf32>'}}
  %y = vlm.cached_attention %q, %k, %k, %c sequence %s position %s {num_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<1x?x64xf32>, tensor<1x?x48xf32>, tensor<1x?x48xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>)
      -> tensor<1x?x64xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>, %b: tensor<2x9xf32>) {
  // expected-error@+1 {{'distance_bias' must be absent beside 'query_sequence', whose tokens have no places among the keys}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s query_sequence %s first %s last %s distance_bias %b
      {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x3xi32>, tensor<1x3xi32>, tensor<1x3xi32>, tensor<2x9xf32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @cached_attention(%q: tensor<1x3x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x3xi32>, %b: tensor<1x9xf32>) {
  // expected-error@+1 {{'distance_bias' must have 2 rows (num_heads) of an odd number of elements, but is 'tensor<1x9xf32>'}}
  %y = vlm.cached_attention %q, %q, %q, %c sequence %s position %s distance_bias %b {num_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x3xi32>, tensor<1x3xi32>,
         tensor<1x9xf32>) -> tensor<1x3x32xf32>
  return
}

// -----

func.func @attention(%q: tensor<2x3x32xf32>, %b: tensor<2x8xf32>) {
  // expected-error@+1 {{'distance_bias' must have 2 rows (num_heads) of an odd number of elements, but is 'tensor<2x8xf32>'}}
  %y = vlm.attention %q, %q, %q distance_bias %b {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f64}
      : (tensor<2x3x32xf32>, tensor<2x3x32xf32>, tensor<2x3x32xf32>, tensor<2x8xf32>) -> tensor<2x3x32xf32>
  return
}
