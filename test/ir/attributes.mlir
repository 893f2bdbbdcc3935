// Recipes, layouts, sizes and symbols, through text and bytecode and back.
// RUN: vlmc-opt %s --verify-roundtrip | FileCheck %s

// CHECK: @convert {{.*}} = <convert (#vlm.recipe<read "a" : tensor<4x6xbf16>>) : tensor<4x6xf32>>
vlm.weight @convert : tensor<4x6xf32> = #vlm.recipe<convert (#vlm.recipe<read "a" : tensor<4x6xbf16>>) : tensor<4x6xf32>>
// CHECK: @concat {{.*}} = <concat [0] (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "b" : tensor<2x6xf32>>) : tensor<6x6xf32>>
vlm.weight @concat : tensor<6x6xf32> = #vlm.recipe<concat [0] (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "b" : tensor<2x6xf32>>) : tensor<6x6xf32>>
// CHECK: @transpose {{.*}} = <transpose [1, 0] (
vlm.weight @transpose : tensor<6x4xf32> = #vlm.recipe<transpose [1, 0] (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<6x4xf32>>
// CHECK: @slice {{.*}} = <slice [0, 1, 3] (
vlm.weight @slice : tensor<2x6xf32> = #vlm.recipe<slice [0, 1, 3] (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<2x6xf32>>
// CHECK: @reshape {{.*}} = <reshape (
vlm.weight @reshape : tensor<24xf32> = #vlm.recipe<reshape (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<24xf32>>
// CHECK: @scale {{.*}} = <scale 1.250000e-01 (
vlm.weight @scale : tensor<4x6xf32> = #vlm.recipe<scale 0.125 (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<4x6xf32>>
// CHECK: @exp {{.*}} = <exp (
vlm.weight @exp : tensor<1xf32> = #vlm.recipe<exp (#vlm.recipe<read "s" : tensor<1xf32>>) : tensor<1xf32>>
// CHECK: @linear {{.*}} = <linear (#vlm.recipe<read "x" : tensor<1x6xf32>>, #vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "b" : tensor<4xf32>>) : tensor<1x4xf32>>
vlm.weight @linear : tensor<1x4xf32> = #vlm.recipe<linear (#vlm.recipe<read "x" : tensor<1x6xf32>>, #vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "b" : tensor<4xf32>>) : tensor<1x4xf32>>
// CHECK: @add {{.*}} = <add (
vlm.weight @add : tensor<4x6xf32> = #vlm.recipe<add (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "c" : tensor<4x6xf32>>) : tensor<4x6xf32>>
// CHECK: @scale_rows {{.*}} = <scale_rows (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<inverse_root 1.000000e-05 (#vlm.recipe<read "v" : tensor<4xf32>>) : tensor<4xf32>>) : tensor<4x6xf32>>
vlm.weight @scale_rows : tensor<4x6xf32> = #vlm.recipe<scale_rows (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<inverse_root 1.0e-5 (#vlm.recipe<read "v" : tensor<4xf32>>) : tensor<4xf32>>) : tensor<4x6xf32>>
// CHECK: @row_squares {{.*}} = <row_squares (
vlm.weight @row_squares : tensor<4xf32> = #vlm.recipe<row_squares (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<4xf32>>
// CHECK: @take_rows {{.*}} = <take_rows [3, 0, 0] (
vlm.weight @take_rows : tensor<3x6xf32> = #vlm.recipe<take_rows [3, 0, 0] (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<3x6xf32>>
// CHECK: @count {{.*}} = <scale -5.000000e-01 (#vlm.recipe<count [-4] : tensor<1x9xf32>>)
vlm.weight @count : tensor<1x9xf32> = #vlm.recipe<scale -0.5 (#vlm.recipe<count [-4] : tensor<1x9xf32>>) : tensor<1x9xf32>>
// CHECK: @pack : tensor<4x6xf32, #vlm.layout<"f32.panel16">> = <pack "f32.panel16" (
vlm.weight @pack : tensor<4x6xf32, #vlm.layout<"f32.panel16">> =
    #vlm.recipe<pack "f32.panel16" (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<4x6xf32, #vlm.layout<"f32.panel16">>>

// Sizes are printed in one order: high powers first, then by name; equal terms are added.
// CHECK: module @sizes attributes
// CHECK-SAME: test.a = #vlm.size<3072 * B * T + 64>
// CHECK-SAME: test.b = #vlm.size<0>
// CHECK-SAME: test.c = #vlm.size<5 * B>
// CHECK-SAME: test.d = #vlm.size<1 * B * B + 2 * T + 1>
// CHECK-SAME: test.e = #vlm.symbol<"T", 1, 16, 77>
module @sizes attributes {test.a = #vlm.size<64 + T * 3072 * B>, test.b = #vlm.size<0>, test.c = #vlm.size<2 * B + 3 * B>,
    test.d = #vlm.size<1 + B * B + 2 * T>, test.e = #vlm.symbol<"T", 1, 16, 77>} {
}
