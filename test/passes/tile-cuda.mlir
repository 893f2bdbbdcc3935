// What a GPU's kernels are made by, where it is not said by their anchor alone.
// RUN: vlmc-opt %s --vlm-tile=arch=cuda | FileCheck %s
// RUN: vlmc-opt %s --vlm-tile=arch=cuda --remarks-filter=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK-NOT: kernel 'head_256'
// REMARK-NOT: kernel 'head_288'
// REMARK: attention of kernel 'head_280' takes no tensor cores: its heads have 280 features, and those of more than 256 are multiples of 32 up to 512
// REMARK: attention of kernel 'head_528' takes no tensor cores: its heads have 528 features

// CHECK: vlm.kernel @head_256
// CHECK-SAME: strategy = "attention"
vlm.kernel @head_256(%q: tensor<?x?x256xf32>) -> tensor<?x?x256xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %q, %q, %q {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.25 : f64}
      : (tensor<?x?x256xf32>, tensor<?x?x256xf32>, tensor<?x?x256xf32>) -> tensor<?x?x256xf32>
  vlm.yield %0 : tensor<?x?x256xf32>
}

// CHECK: vlm.kernel @head_288
// CHECK-SAME: strategy = "attention"
vlm.kernel @head_288(%q: tensor<?x?x576xf32>) -> tensor<?x?x576xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %q, %q, %q {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64}
      : (tensor<?x?x576xf32>, tensor<?x?x576xf32>, tensor<?x?x576xf32>) -> tensor<?x?x576xf32>
  vlm.yield %0 : tensor<?x?x576xf32>
}

// CHECK: vlm.kernel @head_280
// CHECK-SAME: strategy = "elements"
vlm.kernel @head_280(%q: tensor<?x?x560xf32>) -> tensor<?x?x560xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %q, %q, %q {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64}
      : (tensor<?x?x560xf32>, tensor<?x?x560xf32>, tensor<?x?x560xf32>) -> tensor<?x?x560xf32>
  vlm.yield %0 : tensor<?x?x560xf32>
}

// CHECK: vlm.kernel @head_528
// CHECK-SAME: strategy = "elements"
vlm.kernel @head_528(%q: tensor<?x?x1056xf32>) -> tensor<?x?x1056xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %q, %q, %q {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64}
      : (tensor<?x?x1056xf32>, tensor<?x?x1056xf32>, tensor<?x?x1056xf32>) -> tensor<?x?x1056xf32>
  vlm.yield %0 : tensor<?x?x1056xf32>
}

// CHECK: vlm.kernel @moments
// CHECK-SAME: strategy = "moments"
vlm.kernel @moments(%x: tensor<?x?x64xf32>) -> tensor<?x8x2xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.group_moments %x {groups = 8 : i64, epsilon = 1.0e-6 : f64} : (tensor<?x?x64xf32>) -> tensor<?x8x2xf32>
  vlm.yield %0 : tensor<?x8x2xf32>
}
