// RUN: vlmc-opt %s --split-input-file --verify-diagnostics

func.func @channels(%x: tensor<?x64x16xf32>, %w: tensor<3x3x8xf32>) -> tensor<?x64x16xf32> {
  // expected-error@+1 {{'input' must have the 8 channels of 'weight', but has 16}}
  %0 = vlm.depthwise_conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x16xf32>, tensor<3x3x8xf32>) -> tensor<?x64x16xf32>
  return %0 : tensor<?x64x16xf32>
}

// -----

func.func @pixels(%x: tensor<?x60x16xf32>, %w: tensor<3x3x16xf32>) -> tensor<?x64x16xf32> {
  // expected-error@+1 {{'input' must hold 8x8 pixels of static channels, but is 'tensor<?x60x16xf32>'}}
  %0 = vlm.depthwise_conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x60x16xf32>, tensor<3x3x16xf32>) -> tensor<?x64x16xf32>
  return %0 : tensor<?x64x16xf32>
}

// -----

func.func @kernel(%x: tensor<?x4x16xf32>, %w: tensor<3x3x16xf32>) -> tensor<?x1x16xf32> {
  // expected-error@+1 {{has a kernel of 3x3, which is larger than the padded picture}}
  %0 = vlm.depthwise_conv2d %x, %w {height = 2 : i64, width = 2 : i64, stride = 1 : i64, padding = array<i64: 0, 0, 0, 0>}
      : (tensor<?x4x16xf32>, tensor<3x3x16xf32>) -> tensor<?x1x16xf32>
  return %0 : tensor<?x1x16xf32>
}

// -----

func.func @stride(%x: tensor<?x4x16xf32>, %w: tensor<1x1x16xf32>) -> tensor<?x4x16xf32> {
  // expected-error@+1 {{needs a 'stride' of at least 1 and a 'padding' of four sizes, but has 0 and [0, 0, 0, 0]}}
  %0 = vlm.depthwise_conv2d %x, %w {height = 2 : i64, width = 2 : i64, stride = 0 : i64, padding = array<i64: 0, 0, 0, 0>}
      : (tensor<?x4x16xf32>, tensor<1x1x16xf32>) -> tensor<?x4x16xf32>
  return %0 : tensor<?x4x16xf32>
}

// -----

func.func @result(%x: tensor<?x4x16xf32>, %w: tensor<1x1x16xf32>) -> tensor<?x3x16xf32> {
  // expected-error@+1 {{'result' must have shape [?, 4, 16], but is 'tensor<?x3x16xf32>'}}
  %0 = vlm.depthwise_conv2d %x, %w {height = 2 : i64, width = 2 : i64, stride = 1 : i64, padding = array<i64: 0, 0, 0, 0>}
      : (tensor<?x4x16xf32>, tensor<1x1x16xf32>) -> tensor<?x3x16xf32>
  return %0 : tensor<?x3x16xf32>
}

// -----

func.func @factors(%x: tensor<?x4x16xf32>, %s: tensor<?x8xf32>) -> tensor<?x4x16xf32> {
  // expected-error@+1 {{'factors' must have shape [?, 16], but is 'tensor<?x8xf32>'}}
  %0 = vlm.scale_features %x, %s : tensor<?x4x16xf32>, tensor<?x8xf32>
  return %0 : tensor<?x4x16xf32>
}

// -----

func.func @largest(%x: tensor<?x4x16xf32>) -> tensor<?x4xf32> {
  // expected-error@+1 {{'result' must have shape [?, 16], but is 'tensor<?x4xf32>'}}
  %0 = vlm.max_tokens %x : (tensor<?x4x16xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

func.func @square(%x: tensor<?x?x16xf32>, %p: tensor<12x16xf32>, %g: tensor<?x2xi64>) -> tensor<?x?x16xf32> {
  // expected-error@+1 {{'table' must be the square of a number of rows of 16 features, but is 'tensor<12x16xf32>'}}
  %0 = vlm.add_grid_positions %x, %p, %g : tensor<?x?x16xf32>, tensor<12x16xf32>, tensor<?x2xi64>
  return %0 : tensor<?x?x16xf32>
}

// -----

func.func @grid(%x: tensor<?x?x16xf32>, %p: tensor<9x16xf32>, %g: tensor<?x3xi64>) -> tensor<?x?x16xf32> {
  // expected-error@+1 {{'grid' must have shape [?, 2], but is 'tensor<?x3xi64>'}}
  %0 = vlm.add_grid_positions %x, %p, %g : tensor<?x?x16xf32>, tensor<9x16xf32>, tensor<?x3xi64>
  return %0 : tensor<?x?x16xf32>
}

// -----

func.func @boundaries(%x: tensor<?x?x16xf32>, %p: tensor<4x16xf32>, %g: tensor<?x2xi64>) -> tensor<?x?x16xf32> {
  // expected-error@+1 {{'boundaries' must ascend, fewer than 2 of them below 1, but are [2.500000e-01, 5.000000e-01]}}
  %0 = vlm.add_grid_positions %x, %p, %g {boundaries = array<f32: 2.500000e-01, 5.000000e-01>}
      : tensor<?x?x16xf32>, tensor<4x16xf32>, tensor<?x2xi64>
  return %0 : tensor<?x?x16xf32>
}
