// What the verifiers of ops of pictures as ids say.
// RUN: vlmc-opt %s --split-input-file --verify-diagnostics

func.func @groups(%x: tensor<?x64x16xf32>) -> tensor<?x3x2xf32> {
  // expected-error@+1 {{needs a number of groups that divides the 16 channels of 'input', but has 3}}
  %m = vlm.group_moments %x {groups = 3 : i64, epsilon = 1.0e-06 : f64} : (tensor<?x64x16xf32>) -> tensor<?x3x2xf32>
  return %m : tensor<?x3x2xf32>
}

// -----

func.func @epsilon(%x: tensor<?x64x16xf32>) -> tensor<?x4x2xf32> {
  // expected-error@+1 {{'epsilon' must not be negative}}
  %m = vlm.group_moments %x {groups = 4 : i64, epsilon = -1.0 : f64} : (tensor<?x64x16xf32>) -> tensor<?x4x2xf32>
  return %m : tensor<?x4x2xf32>
}

// -----

func.func @moments(%x: tensor<?x64x16xf32>) -> tensor<?x4x3xf32> {
  // expected-error@+1 {{'result' must have shape [?, 4, 2], but is 'tensor<?x4x3xf32>'}}
  %m = vlm.group_moments %x {groups = 4 : i64, epsilon = 1.0e-06 : f64} : (tensor<?x64x16xf32>) -> tensor<?x4x3xf32>
  return %m : tensor<?x4x3xf32>
}

// -----

func.func @group_norm(%x: tensor<?x64x16xf32>, %m: tensor<?x5x2xf32>, %w: tensor<16xf32>) -> tensor<?x64x16xf32> {
  // expected-error@+1 {{needs a number of groups that divides the 16 channels of 'input', but has 5}}
  %y = vlm.group_norm %x, %m, %w, %w : tensor<?x64x16xf32>, tensor<?x5x2xf32>, tensor<16xf32>
  return %y : tensor<?x64x16xf32>
}

// -----

func.func @group_norm(%x: tensor<?x64x16xf32>, %m: tensor<?x4x2xf32>, %w: tensor<8xf32>) -> tensor<?x64x16xf32> {
  // expected-error@+1 {{'weight' must have shape [16], but is 'tensor<8xf32>'}}
  %y = vlm.group_norm %x, %m, %w, %w : tensor<?x64x16xf32>, tensor<?x4x2xf32>, tensor<8xf32>
  return %y : tensor<?x64x16xf32>
}

// -----

func.func @ids(%x: tensor<?x16x8xf32>) -> tensor<?x16xi32> {
  // expected-error@+1 {{'ids' must hold a number for each of the 8 features of 'input', but holds 2}}
  %i = vlm.least_feature %x {ids = array<i32: 7, 5>} : (tensor<?x16x8xf32>) -> tensor<?x16xi32>
  return %i : tensor<?x16xi32>
}

// -----

func.func @rows(%x: tensor<?x16x8xf32>) -> tensor<?x15xi32> {
  // expected-error@+1 {{'result' must have shape [?, 16], but is 'tensor<?x15xi32>'}}
  %i = vlm.least_feature %x : (tensor<?x16x8xf32>) -> tensor<?x15xi32>
  return %i : tensor<?x15xi32>
}

// -----

func.func @ranges(%x: tensor<1x?x64xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'ranges' must be ascending pairs of begin and end within the 64 features of 'input', but are [4, 12, 10, 21]}}
  %y = vlm.mask_features %x {ranges = array<i64: 4, 12, 10, 21>} : tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @range_end(%x: tensor<1x?x64xf32>) -> tensor<1x?x64xf32> {
  // expected-error@+1 {{'ranges' must be ascending pairs of begin and end within the 64 features of 'input', but are [4, 65]}}
  %y = vlm.mask_features %x {ranges = array<i64: 4, 65>} : tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// -----

func.func @layer_norm(%x: tensor<?x50x64xf32>, %w: tensor<64xf32>) -> tensor<?x50x64xf32> {
  // expected-error@+1 {{'group' must be a divisor of the 64 features of 'input' and of 'weight', but is 15 with 64 weights}}
  %y = vlm.layer_norm %x, %w, %w {epsilon = 1.0e-05 : f64, group = 15 : i64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  return %y : tensor<?x50x64xf32>
}

// -----

func.func @layer_norm(%x: tensor<?x50x64xf32>, %w: tensor<16xf32>) -> tensor<?x50x64xf32> {
  // expected-error@+1 {{'group' must be a divisor of the 64 features of 'input' and of 'weight', but is 16 with 16 weights}}
  %y = vlm.layer_norm %x, %w, %w {epsilon = 1.0e-05 : f64, group = 16 : i64} : tensor<?x50x64xf32>, tensor<16xf32>, tensor<16xf32>
  return %y : tensor<?x50x64xf32>
}
