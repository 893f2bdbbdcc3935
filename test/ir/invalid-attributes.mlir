// What is said about recipes, layouts, sizes and symbols that are wrong.
// RUN: vlmc-opt %s --allow-unregistered-dialect --split-input-file --verify-diagnostics

// expected-error@+1 {{unknown recipe step 'rotate'}}
vlm.weight @w : tensor<4x6xf32> = #vlm.recipe<rotate "a" : tensor<4x6xf32>>

// -----

// expected-error@+1 {{a recipe has a static shape, but has 'tensor<?x6xf32>'}}
vlm.weight @w : tensor<?x6xf32> = #vlm.recipe<read "a" : tensor<?x6xf32>>

// -----

// expected-error@+1 {{read needs the name of a tensor and has no inputs}}
vlm.weight @w : tensor<4xf32> = #vlm.recipe<read : tensor<4xf32>>

// -----

// expected-error@+2 {{concat needs at least one input and one axis within the rank 1}}
vlm.weight @w : tensor<8xf32> =
    #vlm.recipe<concat [1] (#vlm.recipe<read "a" : tensor<4xf32>>, #vlm.recipe<read "b" : tensor<4xf32>>) : tensor<8xf32>>

// -----

// expected-error@+2 {{concat joins tensors of one rank, but has 'tensor<4x1xf32>' for 'tensor<4xf32>'}}
vlm.weight @w : tensor<4xf32> =
    #vlm.recipe<concat [0] (#vlm.recipe<read "a" : tensor<4x1xf32>>) : tensor<4xf32>>

// -----

// expected-error@+2 {{concat along axis 0 needs equal sizes elsewhere, but has 'tensor<4x5xf32>' for 'tensor<8x6xf32>'}}
vlm.weight @w : tensor<8x6xf32> =
    #vlm.recipe<concat [0] (#vlm.recipe<read "a" : tensor<4x6xf32>>, #vlm.recipe<read "b" : tensor<4x5xf32>>) : tensor<8x6xf32>>

// -----

// expected-error@+2 {{concat gives 8 along axis 0, but its type is 'tensor<9xf32>'}}
vlm.weight @w : tensor<9xf32> =
    #vlm.recipe<concat [0] (#vlm.recipe<read "a" : tensor<4xf32>>, #vlm.recipe<read "b" : tensor<4xf32>>) : tensor<9xf32>>

// -----

// expected-error@+1 {{slice needs [axis, begin, end] within 'tensor<4xf32>', but has [0, 2, 5]}}
vlm.weight @w : tensor<3xf32> = #vlm.recipe<slice [0, 2, 5] (#vlm.recipe<read "a" : tensor<4xf32>>) : tensor<3xf32>>

// -----

// expected-error@+1 {{slice [0, 2, 4] of 'tensor<4xf32>' does not give 'tensor<3xf32>'}}
vlm.weight @w : tensor<3xf32> = #vlm.recipe<slice [0, 2, 4] (#vlm.recipe<read "a" : tensor<4xf32>>) : tensor<3xf32>>

// -----

// expected-error@+1 {{transpose needs a permutation of the 2 axes, but has [0, 0]}}
vlm.weight @w : tensor<4x6xf32> = #vlm.recipe<transpose [0, 0] (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<4x6xf32>>

// -----

// expected-error@+1 {{transpose [1, 0] of 'tensor<4x6xf32>' does not give 'tensor<4x6xf32>'}}
vlm.weight @w : tensor<4x6xf32> = #vlm.recipe<transpose [1, 0] (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<4x6xf32>>

// -----

// expected-error@+1 {{reshape keeps the number of elements, but makes 'tensor<25xf32>' from 'tensor<4x6xf32>'}}
vlm.weight @w : tensor<25xf32> = #vlm.recipe<reshape (#vlm.recipe<read "a" : tensor<4x6xf32>>) : tensor<25xf32>>

// -----

// expected-error@+1 {{convert keeps the shape, but makes 'tensor<24xf32>' from 'tensor<4x6xf16>'}}
vlm.weight @w : tensor<24xf32> = #vlm.recipe<convert (#vlm.recipe<read "a" : tensor<4x6xf16>>) : tensor<24xf32>>

// -----

// expected-error@+1 {{exp keeps the type, but makes 'tensor<1xf32>' from 'tensor<1xf16>'}}
vlm.weight @w : tensor<1xf32> = #vlm.recipe<exp (#vlm.recipe<read "a" : tensor<1xf16>>) : tensor<1xf32>>

// -----

// expected-error@+1 {{exp needs one input, but has 0}}
vlm.weight @w : tensor<1xf32> = #vlm.recipe<exp : tensor<1xf32>>

// -----

// expected-error@+2 {{linear needs [..., K], [N, K] and [N] in f32 for its type 'tensor<1x4xf32>', but has 'tensor<1x5xf32>' and 'tensor<4x6xf32>'}}
vlm.weight @w : tensor<1x4xf32> =
    #vlm.recipe<linear (#vlm.recipe<read "x" : tensor<1x5xf32>>, #vlm.recipe<read "w" : tensor<4x6xf32>>) : tensor<1x4xf32>>

// -----

// expected-error@+2 {{scale_rows needs an f32 input of its own type 'tensor<4x6xf32>' and a factor for each of its rows}}
vlm.weight @w : tensor<4x6xf32> =
    #vlm.recipe<scale_rows (#vlm.recipe<read "x" : tensor<4x6xf32>>, #vlm.recipe<read "v" : tensor<6xf32>>) : tensor<4x6xf32>>

// -----

// expected-error@+2 {{linear needs an input, a weight and at most a bias, but has 1 inputs}}
vlm.weight @w : tensor<1x4xf32> =
    #vlm.recipe<linear (#vlm.recipe<read "x" : tensor<1x4xf32>>) : tensor<1x4xf32>>

// -----

// expected-error@+2 {{add needs two inputs of its own type 'tensor<4xf32>'}}
vlm.weight @w : tensor<4xf32> =
    #vlm.recipe<add (#vlm.recipe<read "a" : tensor<4xf32>>, #vlm.recipe<read "b" : tensor<5xf32>>) : tensor<4xf32>>

// -----

// expected-error@+1 {{count makes [1, N] in f32 from a first number, within 2^24 of 0, but makes 'tensor<2x9xf32>'}}
vlm.weight @w : tensor<2x9xf32> = #vlm.recipe<count [-4] : tensor<2x9xf32>>

// -----

// expected-error@+1 {{count makes [1, N] in f32 from a first number, within 2^24 of 0, but makes 'tensor<1x9xf32>'}}
vlm.weight @w : tensor<1x9xf32> = #vlm.recipe<count [16777208] : tensor<1x9xf32>>

// -----

// expected-error@+1 {{pack gives its input's shape with the layout it names, but gives 'tensor<4xf32>' from 'tensor<4xf32>'}}
vlm.weight @w : tensor<4xf32> = #vlm.recipe<pack "f32.vector" (#vlm.recipe<read "a" : tensor<4xf32>>) : tensor<4xf32>>

// -----

// expected-error@+1 {{is 'tensor<5xf32>', but its recipe makes 'tensor<4xf32>'}}
vlm.weight @w : tensor<5xf32> = #vlm.recipe<read "a" : tensor<4xf32>>

// -----

// expected-error@+1 {{unknown layout "f32.panel99"; there are f32.panel16, f32.vector, f32.rows and f32.winograd16, bf16.panel16, bf16.rows, f16.panel16 and f16.rows}}
"test.op"() {a = #vlm.layout<"f32.panel99">} : () -> ()

// -----

// expected-error@+1 {{coefficients of a size are not negative, but one is -3}}
"test.op"() {a = #vlm.size<-3 * B>} : () -> ()

// -----

// expected-error@+1 {{a symbol needs a name and 1 <= minimum <= likely <= maximum, but has "T", 1, 100, 77}}
"test.op"() {a = #vlm.symbol<"T", 1, 100, 77>} : () -> ()
