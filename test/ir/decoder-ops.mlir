// The examples of the ops that decoders need, through text, generic form and bytecode and back.
// RUN: vlmc-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func @rms_norm
func.func @rms_norm(%x: tensor<1x?x64xf32>, %w: tensor<64xf32>, %h: tensor<16xf32>) -> (tensor<1x?x64xf32>, tensor<1x?x64xf32>) {
  // CHECK: vlm.rms_norm %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
  %y = vlm.rms_norm %x, %w {epsilon = 1.000000e-05 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
  // CHECK: vlm.rms_norm %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64, offset = 1.000000e+00 : f64} : tensor<1x?x64xf32>, tensor<16xf32>
  %z = vlm.rms_norm %x, %h {epsilon = 1.000000e-05 : f64, offset = 1.000000e+00 : f64} : tensor<1x?x64xf32>, tensor<16xf32>
  return %y, %z : tensor<1x?x64xf32>, tensor<1x?x64xf32>
}

// Keys of 5 and queries of other tokens.
// CHECK-LABEL: func.func @ranges
func.func @ranges(%q: tensor<1x?x64xf32>, %k: tensor<1x5x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x5xi32>, %t: tensor<1x?xi32>,
    %f: tensor<1x?xi32>, %l: tensor<1x?xi32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.cached_attention {{.*}} sequence %{{.*}} position %{{.*}} query_sequence %{{.*}} first %{{.*}} last %{{.*}} {num_heads = 4 : i64, scale = 2.500000e-01 : f64}
  %y = vlm.cached_attention %q, %k, %k, %c sequence %s position %s query_sequence %t first %f last %l {num_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<1x?x64xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x5xi32>, tensor<1x5xi32>,
         tensor<1x?xi32>, tensor<1x?xi32>, tensor<1x?xi32>) -> tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @spans
func.func @spans(%q: tensor<1x?x64xf32>, %k: tensor<1x?x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>, %s: tensor<1x?xi32>, %p: tensor<1x?xi32>,
    %f: tensor<1x?xi32>, %l: tensor<1x?xi32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.cached_attention {{.*}} position %{{[a-z0-9]+}} first %{{.*}} last %{{.*}} {num_heads = 4 : i64, scale = 2.500000e-01 : f64, window = 7 : i64}
  %y = vlm.cached_attention %q, %k, %k, %c sequence %s position %p first %f last %l {num_heads = 4 : i64, scale = 2.500000e-01 : f64, window = 7 : i64}
      : (tensor<1x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>,
         tensor<1x?xi32>, tensor<1x?xi32>) -> tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @scale
func.func @scale(%x: tensor<1x?x64xf32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.scale %{{.*}} {factor = 8.000000e+00 : f64} : tensor<1x?x64xf32>
  %y = vlm.scale %x {factor = 8.000000e+00 : f64} : tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @pixel_unshuffle
func.func @pixel_unshuffle(%x: tensor<?x16x64xf32>) -> (tensor<?x4x256xf32>, tensor<?x4x256xf32>) {
  // CHECK: vlm.pixel_unshuffle %{{.*}} {height = 4 : i64, size = 2 : i64, width = 4 : i64} : (tensor<?x16x64xf32>) -> tensor<?x4x256xf32>
  %y = vlm.pixel_unshuffle %x {height = 4 : i64, width = 4 : i64, size = 2 : i64} : (tensor<?x16x64xf32>) -> tensor<?x4x256xf32>
  // CHECK: vlm.pixel_unshuffle %{{.*}} {height = 2 : i64, size = 2 : i64, transposed, width = 8 : i64} : (tensor<?x16x64xf32>) -> tensor<?x4x256xf32>
  %z = vlm.pixel_unshuffle %x {height = 2 : i64, width = 8 : i64, size = 2 : i64, transposed} : (tensor<?x16x64xf32>) -> tensor<?x4x256xf32>
  return %y, %z : tensor<?x4x256xf32>, tensor<?x4x256xf32>
}

// CHECK-LABEL: func.func @gated_add
func.func @gated_add(%x: tensor<1x?x64xf32>, %a: tensor<1x?x64xf32>, %g: tensor<1xf32>, %v: tensor<64xf32>, %s: tensor<1x?xi32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.gated_add %{{.*}}, %{{.*}}, %{{.*}} : tensor<1x?x64xf32>, tensor<1xf32>
  %y = vlm.gated_add %x, %a, %g : tensor<1x?x64xf32>, tensor<1xf32>
  // CHECK: vlm.gated_add %{{.*}}, %{{.*}}, %{{.*}} shown %{{.*}} : tensor<1x?x64xf32>, tensor<64xf32>, tensor<1x?xi32>
  %z = vlm.gated_add %y, %a, %v shown %s : tensor<1x?x64xf32>, tensor<64xf32>, tensor<1x?xi32>
  return %z : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @resampler
func.func @resampler(%q: tensor<?x4x64xf32>, %x: tensor<?x9x64xf32>, %w: tensor<16xf32>) -> tensor<?x13x64xf32> {
  // CHECK: vlm.prepend_tokens %{{.*}}, %{{.*}} : (tensor<?x4x64xf32>, tensor<?x9x64xf32>) -> tensor<?x13x64xf32>
  %y = vlm.prepend_tokens %q, %x : (tensor<?x4x64xf32>, tensor<?x9x64xf32>) -> tensor<?x13x64xf32>
  // CHECK: vlm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64} : tensor<?x13x64xf32>, tensor<16xf32>, tensor<16xf32>
  %z = vlm.layer_norm %y, %w, %w {epsilon = 1.000000e-05 : f64} : tensor<?x13x64xf32>, tensor<16xf32>, tensor<16xf32>
  return %z : tensor<?x13x64xf32>
}

// CHECK-LABEL: func.func @multiply
func.func @multiply(%gate: tensor<1x?x96xf32>, %up: tensor<1x?x96xf32>) -> tensor<1x?x96xf32> {
  // CHECK: vlm.multiply %{{.*}}, %{{.*}} : tensor<1x?x96xf32>
  %y = vlm.multiply %gate, %up : tensor<1x?x96xf32>
  return %y : tensor<1x?x96xf32>
}

// CHECK-LABEL: func.func @rope
func.func @rope(%p: tensor<1x?xi32>, %x: tensor<1x?x64xf32>) -> (tensor<1x?x64xf32>, tensor<1x?x64xf32>) {
  // CHECK: vlm.rope_table %{{.*}} {frequencies = array<f32: 1.000000e+00, 1.000000e-01>, scale = 5.000000e-01 : f64} : (tensor<1x?xi32>) -> tensor<1x?x4xf32>
  %c = vlm.rope_table %p {frequencies = array<f32: 1.0, 0.1>, scale = 5.000000e-01 : f64} : (tensor<1x?xi32>) -> tensor<1x?x4xf32>
  // CHECK: vlm.rope %{{.*}}, %{{.*}} {num_heads = 4 : i64} : tensor<1x?x64xf32>, tensor<1x?x4xf32>
  %y = vlm.rope %x, %c {num_heads = 4 : i64} : tensor<1x?x64xf32>, tensor<1x?x4xf32>
  // CHECK: vlm.rope %{{.*}}, %{{.*}} {interleaved, num_heads = 2 : i64} : tensor<1x?x64xf32>, tensor<1x?x4xf32>
  %z = vlm.rope %x, %c {interleaved, num_heads = 2 : i64} : tensor<1x?x64xf32>, tensor<1x?x4xf32>
  return %y, %z : tensor<1x?x64xf32>, tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @slice_tokens
func.func @slice_tokens(%x: tensor<?x50x64xf32>) -> tensor<?x49x64xf32> {
  // CHECK: vlm.slice_tokens %{{.*}}[1, 50] : (tensor<?x50x64xf32>) -> tensor<?x49x64xf32>
  %y = vlm.slice_tokens %x [1, 50] : (tensor<?x50x64xf32>) -> tensor<?x49x64xf32>
  return %y : tensor<?x49x64xf32>
}

// CHECK-LABEL: func.func @merge_tokens
func.func @merge_tokens(%x: tensor<1x?x64xf32>, %f: tensor<?x64xf32>, %r: tensor<1x?xi32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.merge_tokens %{{.*}}, %{{.*}}, %{{.*}} : tensor<1x?x64xf32>, tensor<?x64xf32>, tensor<1x?xi32>
  %y = vlm.merge_tokens %x, %f, %r : tensor<1x?x64xf32>, tensor<?x64xf32>, tensor<1x?xi32>
  return %y : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @cached_attention
func.func @cached_attention(%q: tensor<1x?x64xf32>, %k: tensor<1x?x32xf32>, %cache: tensor<3x2x2x16xf32, #vlm.cache>, %s: tensor<1x?xi32>,
    %p: tensor<1x?xi32>, %r: tensor<1x?xi32>) -> (tensor<1x?x64xf32>, tensor<1x?x64xf32>) {
  // CHECK: vlm.cache_layer %{{.*}}[1] : (tensor<3x2x2x16xf32, #vlm.cache>) -> tensor<2x2x16xf32, #vlm.cache>
  %c = vlm.cache_layer %cache[1] : (tensor<3x2x2x16xf32, #vlm.cache>) -> tensor<2x2x16xf32, #vlm.cache>
  // CHECK: vlm.cached_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} sequence %{{.*}} position %{{.*}} {num_heads = 4 : i64, scale = 2.500000e-01 : f64}
  %y = vlm.cached_attention %q, %k, %k, %c sequence %s position %p {num_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<1x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>)
      -> tensor<1x?x64xf32>
  // CHECK: vlm.cached_attention {{.*}} query_token %{{.*}} {num_heads = 4 : i64, scale = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64, window = 7 : i64}
  %z = vlm.cached_attention %q, %k, %k, %c sequence %s position %p query_token %r
      {num_heads = 4 : i64, scale = 2.500000e-01 : f64, softcap = 3.000000e+01 : f64, window = 7 : i64}
      : (tensor<1x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>,
         tensor<1x?xi32>) -> tensor<1x?x64xf32>
  return %y, %z : tensor<1x?x64xf32>, tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @distance_bias
func.func @distance_bias(%x: tensor<2x?x64xf32>, %q: tensor<1x?x64xf32>, %k: tensor<1x?x32xf32>, %c: tensor<2x2x16xf32, #vlm.cache>,
                         %s: tensor<1x?xi32>, %b: tensor<4x9xf32>) -> (tensor<2x?x64xf32>, tensor<1x?x64xf32>) {
  // CHECK: vlm.attention %{{.*}}, %{{.*}}, %{{.*}} distance_bias %{{.*}} {num_heads = 4 : i64
  %y = vlm.attention %x, %x, %x distance_bias %b {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<2x?x64xf32>, tensor<2x?x64xf32>, tensor<2x?x64xf32>, tensor<4x9xf32>) -> tensor<2x?x64xf32>
  // CHECK: vlm.cached_attention {{.*}} position %{{.*}} distance_bias %{{.*}} {num_heads = 4 : i64
  %z = vlm.cached_attention %q, %k, %k, %c sequence %s position %s distance_bias %b {num_heads = 4 : i64, scale = 1.0 : f64}
      : (tensor<1x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>,
         tensor<4x9xf32>) -> tensor<1x?x64xf32>
  return %y, %z : tensor<2x?x64xf32>, tensor<1x?x64xf32>
}
