/* vlm_abi.h: the binary interface between a compiled model library and the runtime.
 *
 * A compiled model library exports one symbol, `NAME_vlm_model`, a constant `vlm_abi_model`. Everything the runtime needs is reachable from it and
 * nothing is parsed: an entry point is a table of steps, a step calls a kernel, a kernel is generated code. The library imports nothing of the
 * runtime. `codegen/package` writes these structs, `runtime/core` reads them; both are pinned by the static assertions at the end.
 *
 * Example (what running an entry amounts to): for each step, evaluate its dims, resolve its buffers, and for each phase of its kernel call
 * `phase.run(&args, begin, end)` over the grid 0..phase.tasks(dims), any split into ranges, in any order, with a barrier behind each phase.
 */
#ifndef VLMC_RUNTIME_ABI_VLM_ABI_H
#define VLMC_RUNTIME_ABI_VLM_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { VLM_ABI_VERSION = 9, VLM_ABI_MAX_SYMBOLS = 4, VLM_ABI_MAX_RANK = 6 };

/* Alignment in bytes of arena slots, per-thread scratch and packed weights. */
enum { VLM_ABI_ALIGNMENT = 64 };

/* What a kernel gets: its buffers (operands, then results, then temporaries), its dims (each dynamic dimension of the operands in order), and
 * `scratch_bytes` of memory that belongs to the calling thread for the duration of the call. */
typedef struct vlm_kernel_args {
  void *const *buffers;
  const int64_t *dims;
  void *scratch;
} vlm_kernel_args;

/* Runs tasks [begin, end) of one phase. Tasks of a phase are independent; results do not depend on how they are split or ordered. */
typedef void (*vlm_phase_fn)(const vlm_kernel_args *args, int64_t begin, int64_t end);
/* The number of tasks of a phase for these dims. */
typedef int64_t (*vlm_tasks_fn)(const int64_t *dims);

typedef struct vlm_abi_phase {
  vlm_phase_fn run;
  vlm_tasks_fn tasks;
} vlm_abi_phase;

typedef struct vlm_abi_kernel {
  const char *name;     /* the symbol of the `vlm.kernel` */
  const char *strategy; /* "gemm", "attention", "rows", "reference", ... */
  uint32_t n_buffers;
  uint32_t n_dims;
  uint32_t n_phases;
  uint32_t reserved;
  const vlm_abi_phase *phases;
} vlm_abi_kernel;

/* coefficient * product of symbols[i] ^ powers[i] */
typedef struct vlm_abi_term {
  int64_t coefficient;
  uint8_t powers[VLM_ABI_MAX_SYMBOLS];
  uint32_t reserved;
} vlm_abi_term;

/* A polynomial with non-negative coefficients over an entry's symbols. No terms: zero. */
typedef struct vlm_abi_size {
  const vlm_abi_term *terms;
  uint64_t n_terms;
} vlm_abi_size;

/* The maximum of some sizes, in bytes. */
typedef struct vlm_abi_max_size {
  const vlm_abi_size *sizes;
  uint64_t n_sizes;
} vlm_abi_max_size;

/* Places of a sequence in one page of a cache. */
enum { VLM_ABI_PAGE_TOKENS = 64 };

/* One layer of a cache of keys and values, which kernels get in place of a buffer. Page p of sequence s is `pages[s * max_pages + p]`; the layer's
 * part of it begins `offset` bytes behind that address and holds, in f32, keys [Hkv][64 / 16][Dh][16] and then values [Hkv][ceil(Dh / 16)][64][16].
 * Codegen knows the fields by their places. */
typedef struct vlm_abi_cache_layer {
  void *const *pages;
  int64_t max_pages;
  int64_t offset;
} vlm_abi_cache_layer;

enum { VLM_ABI_INPUT = 0, VLM_ABI_OUTPUT = 1, VLM_ABI_SLOT = 2, VLM_ABI_WEIGHT = 3, VLM_ABI_CACHE_LAYER = 4 };

/* Where a buffer of a step lies. */
typedef struct vlm_abi_buffer {
  uint32_t kind;   /* VLM_ABI_INPUT ... */
  uint32_t index;  /* input, output or slot number; unused for weights */
  uint64_t offset; /* weights: byte offset in the weights file; layers of a cache: their number, `index` is the cache's input */
} vlm_abi_buffer;

/* A matrix in memory that a GPU copies tiles of: `rows` rows of `columns` elements of 16 bits, `stride` elements apart, that begin `offset` elements
 * behind one of a step's buffers. A tile is box_rows rows of box_columns elements, which are 128 bytes and swizzled so. */
typedef struct vlm_abi_map {
  vlm_abi_size rows;
  uint64_t offset;
  uint64_t stride;
  uint32_t columns;
  uint32_t buffer; /* number in the step's buffers */
  uint32_t dtype;  /* VLM_ABI_F16 or VLM_ABI_BF16 */
  uint16_t box_rows;
  uint16_t box_columns;
} vlm_abi_map;

/* A function of a GPU level's code, and its grid: in each of three directions grid[i] / units[i] blocks, rounded up. A block has `threads` threads in
 * one direction and `shared_bytes` of dynamic shared memory. Its arguments are the step's buffers, then its dims, int64_t each. It is left out where
 * grid[0] is not in [min_rows, max_rows]: products of few rows and of many have functions of their own. */
enum { VLM_ABI_LAUNCH_EARLY = 1 }; /* may begin while the launch before it ends: it waits for that itself, before it reads what runs write */
typedef struct vlm_abi_launch {
  const char *function;
  const vlm_abi_size *grid; /* [3] */
  uint32_t units[3];
  uint16_t threads;
  uint16_t flags; /* VLM_ABI_LAUNCH_* */
  uint32_t shared_bytes;
  uint16_t min_rows;
  uint16_t max_rows; /* 0: any number */
  const vlm_abi_map *maps; /* of them 128 bytes each are arguments before the buffers (CUtensorMap) */
  uint32_t n_maps;
  uint32_t reserved;
} vlm_abi_launch;

/* A step that is a product and what libraries of products know to do with it: activation(left right^T + bias) + residual, in 16 bits with sums in f32.
 * left is [rows, depth], right [columns, depth], bias [columns] in f32, residual and result are [rows, columns]; each is a number in the step's
 * buffers, -1 where there is none. A residual comes with no activation. */
enum { VLM_ABI_PRODUCT_PLAIN = 0, VLM_ABI_PRODUCT_RELU = 1, VLM_ABI_PRODUCT_GELU = 2 };
typedef struct vlm_abi_product {
  vlm_abi_size rows;
  uint64_t left_offset; /* elements */
  uint64_t left_stride;
  uint32_t columns;
  uint32_t depth;
  int32_t left;
  int32_t right;
  int32_t bias;
  int32_t residual;
  int32_t result;
  uint32_t activation; /* VLM_ABI_PRODUCT_* */
  uint32_t dtype;        /* VLM_ABI_F16 or VLM_ABI_BF16, of both sides */
  uint32_t result_dtype; /* of residual and result: the same, or VLM_ABI_F32 */
} vlm_abi_product;

typedef struct vlm_abi_step {
  const char *label; /* where in the model this step comes from, for instance "vision.layers.3.mlp.fc1" */
  const vlm_abi_buffer *buffers;
  const vlm_abi_size *dims;
  uint32_t kernel; /* index into the level's kernels */
  uint16_t n_operands; /* of the buffers, the first */
  uint16_t n_results;  /* the next; temporaries are behind */
  vlm_abi_size flops; /* of products, two for each multiply-add; what masks leave out and what caches hold is not known */
  vlm_abi_size bytes; /* of operands and results, each once, caches left out */
  const vlm_abi_launch *launches; /* on a GPU, one behind the other; on a CPU the kernel's phases run instead */
  uint32_t n_launches;
  uint32_t reserved;
  const vlm_abi_product *product; /* on a GPU: what the launches amount to; NULL: nothing that libraries know */
} vlm_abi_step;

enum { VLM_ABI_F32 = 0, VLM_ABI_I64 = 1, VLM_ABI_I32 = 2, VLM_ABI_U8 = 3, VLM_ABI_F16 = 4, VLM_ABI_BF16 = 5, VLM_ABI_CACHE = 6 };

/* An input or output. dims[i] is a constant, or, where symbols[i] >= 0, the value of that symbol. A cache is an input of dims [L, 2, Hkv, Dh]; the
 * inputs `sequence` and `position` of its entry are places in it, for one of another name, `X_cache`, `X_sequence` and `X_position`, where the tokens of
 * `sequence` then read places `first_X` to `last_X` - 1. */
typedef struct vlm_abi_tensor {
  const char *name;
  uint32_t dtype;
  uint32_t rank;
  int64_t dims[VLM_ABI_MAX_RANK];
  int32_t symbols[VLM_ABI_MAX_RANK];
  uint32_t optional; /* an input that may be left out: it is then filled with `fill` (integers only) */
  uint32_t has_range; /* integer inputs: values outside [min, max] are refused before anything runs */
  int64_t min;
  int64_t max;
  int64_t fill;
  uint32_t below; /* integer inputs with a range: 1 + the symbol that values must be less than besides; 0: none */
  uint32_t reserved;
} vlm_abi_tensor;

typedef struct vlm_abi_symbol {
  const char *name;
  int64_t min;
  int64_t likely;
  int64_t max;
} vlm_abi_symbol;

/* Tokens that no result depends on: of each sequence of ids, input `input` of dims [B, symbol], one token is picked; those behind the last one
 * picked may be cut off all inputs of dims [B, symbol], if the first token of each sequence is not 0 in those that are not the ids. Or the input is a
 * mask: those behind the last one that is not 0 in it may be cut off all inputs of dims [B, symbol, ...]. */
enum { VLM_ABI_TRIM_ARGMAX = 0, VLM_ABI_TRIM_FIRST_EQUAL = 1, VLM_ABI_TRIM_MASK = 2 }; /* the first of the largest id; the first `id`, or token 0 */
typedef struct vlm_abi_trim {
  uint32_t kind;
  uint32_t input;
  uint32_t symbol;
  uint32_t reserved;
  int64_t id;
} vlm_abi_trim;

typedef struct vlm_abi_entry {
  const char *name;
  const vlm_abi_symbol *symbols;
  const vlm_abi_tensor *inputs;
  const vlm_abi_tensor *outputs;
  const vlm_abi_max_size *slots; /* the arena holds them in this order, each aligned to VLM_ABI_ALIGNMENT */
  const vlm_abi_step *steps;
  vlm_abi_max_size scratch; /* per thread */
  uint32_t n_symbols;
  uint32_t n_inputs;
  uint32_t n_outputs;
  uint32_t n_slots;
  uint32_t n_steps;
  uint32_t reserved;
  const vlm_abi_trim *trim; /* NULL: all tokens count */
} vlm_abi_entry;

/* A GPU level's functions in one form: PTX text (bytes count its closing 0), a cubin for the level's chip, or LLVM bitcode for the emulator. */
enum { VLM_ABI_CODE_PTX = 0, VLM_ABI_CODE_CUBIN = 1, VLM_ABI_CODE_BITCODE = 2 };
typedef struct vlm_abi_code {
  uint32_t kind; /* VLM_ABI_CODE_* */
  uint32_t reserved;
  const void *data;
  uint64_t bytes;
} vlm_abi_code;

/* What a GPU level needs: a chip of this compute capability or a higher one, or, `exact`, of this one. */
typedef struct vlm_abi_device {
  const vlm_abi_code *codes; /* best first */
  uint32_t n_codes;
  int32_t major;
  int32_t minor;
  uint32_t exact;
} vlm_abi_device;

/* The code of one instruction-set level. */
typedef struct vlm_abi_level {
  const char *isa; /* "x86-64-v3", "cuda:sm_80" */
  const vlm_abi_kernel *kernels;
  const vlm_abi_entry *entries;
  uint32_t n_kernels;
  uint32_t n_entries;
  const vlm_abi_device *device; /* NULL: a CPU's. Kernels of a GPU have no phases. */
} vlm_abi_level;

/* A stretch of the weights file. */
typedef struct vlm_abi_range {
  uint64_t offset;
  uint64_t bytes; /* 0: absent */
} vlm_abi_range;

/* Image processing. Steps in this order: resize, centre crop, table look-up (rescale and normalise: every 8-bit value of every channel has its
 * float). The pipelines are Halide's, called through their argv form; see runtime/image for their arguments. */
enum {
  VLM_ABI_RESIZE_NONE = 0,
  VLM_ABI_RESIZE_SHORTEST_EDGE = 1, /* the shorter side becomes `edge` */
  VLM_ABI_RESIZE_EXACT = 2,         /* height x width */
  VLM_ABI_RESIZE_EDGES = 3,         /* the shorter side becomes `edge`, or the longer one `longest_edge` where it would be longer */
  VLM_ABI_RESIZE_WITHIN = 4,        /* the largest size of the same aspect within height x width */
  VLM_ABI_RESIZE_ROUNDED = 5,       /* the same, rounded half to even instead of down */
  VLM_ABI_RESIZE_SHRUNK = 6,        /* as WITHIN where the picture is larger, else as it is */
  VLM_ABI_RESIZE_PATCHES = 7,       /* by one scale, up to whole patches of crop_height, the most that there can be up to `longest_edge` of them */
  VLM_ABI_RESIZE_CAPPED = 8,        /* the longer side becomes `longest_edge` where it is longer; then sides are at least `edge` */
  VLM_ABI_RESIZE_LONGEST = 9        /* the longer side becomes `longest_edge`, the other one is even; both at most 4096 */
};
/* What is made of a resized picture: all of it; its middle, of crop_height x crop_width; the same where a surplus pixel is cut by the rule "half to
 * even"; patches of crop_height x crop_width, row by row, of the picture with pixels of the value 1 at its right and bottom; or tiles of crop_height x
 * crop_width of the picture stretched to the resolution of `grid` with the nearest aspect, and if they are several behind them the whole picture; or
 * tiles of the picture fitted into the resolution that enlarges it least, or shrinks it least, with zeros at its right and bottom. Or a picture is cut
 * before it is resized, into quarters, and itself is the fifth; what is smaller than the largest of them has zeros at its right and bottom. Or what is
 * resized is resized once more: to multiples of crop_height, cut line by line into squares of it, and if they are several, itself as one is the last; or
 * to one such square. Or all of it, whole patches of crop_height x crop_width, as rows of their pixels: f32 [patches][crop_height][crop_width][3]. */
enum {
  VLM_ABI_CROP_NONE = 0,
  VLM_ABI_CROP_CENTER = 1,
  VLM_ABI_CROP_CENTER_EVEN = 2,
  VLM_ABI_CROP_PATCHES = 3,
  VLM_ABI_CROP_STRETCHED = 4,
  VLM_ABI_CROP_FITTED = 5,
  VLM_ABI_CROP_PATCH_ROWS = 6,
  VLM_ABI_CROP_QUARTERS = 7,
  VLM_ABI_CROP_LINES = 8,
  VLM_ABI_CROP_SQUARE = 9
};
enum { VLM_ABI_BACKEND_PIL = 1, VLM_ABI_BACKEND_TORCHVISION = 2 };
typedef struct vlm_abi_image {
  int32_t resize;      /* VLM_ABI_RESIZE_* */
  int32_t filter;      /* Pillow's number: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming */
  int32_t edge;        /* shortest edge */
  int32_t longest_edge;
  int32_t height;      /* exact size, or the most of it */
  int32_t width;
  int32_t do_crop;     /* VLM_ABI_CROP_* */
  int32_t crop_height;
  int32_t crop_width;
  int32_t backend;     /* VLM_ABI_BACKEND_*: whose arithmetic is used if the caller does not say */
  int (*resize_rows)(void **args);    /* horizontal pass: u8 [H,W,3] -> u8 [H,w,3] */
  int (*resize_columns)(void **args); /* vertical pass: u8 [H,w,3] -> u8 [h,w,3] */
  int (*finish)(void **args);         /* crop or pad with zeros, look up: u8 [h,w,3] -> f32 [3,ch,cw] */
  const float *pil_table;             /* [3][256] */
  const float *torchvision_table;     /* [3][256] */
  const int32_t *grid;                /* pictures are cut: [n_grid][2], heights and widths of the resolutions that tiles make up */
  uint32_t n_grid;                    /* 0: they are not */
  uint32_t keeps_key;                 /* 1: pixels of a file's transparent colour stay as they are; 0: they become white */
  int32_t background;                 /* first of all pictures become the middle of a square of this colour, 0x01RRGGBB; 0: they do not */
  int32_t group_background;           /* the same of pictures that are not cut as there are several in a prompt (VLM_ABI_GROUPS_WHOLE) */
  uint32_t pans;                      /* 1: pictures that are long are also shown in crops, unless a request says otherwise */
  uint32_t pan_crops;                 /* at most so many; 0: the processing knows no crops */
  uint32_t pan_side;                  /* of at least so many pixels */
  uint32_t reserved;
  uint64_t pan_ratio;                 /* the bits of the double from which on, the longer side by the shorter, a picture is long */
} vlm_abi_image;

enum { VLM_ABI_HEAD_SOFTMAX = 0, VLM_ABI_HEAD_SIGMOID = 1 };

/* How texts are padded: to text_max_tokens and not to the longest of a batch; with padding that the model attends to; with pad_token_id even where
 * the tokenizer names another pad token. */
enum { VLM_ABI_TEXT_PAD_TO_MAX = 1, VLM_ABI_TEXT_UNMASKED = 2, VLM_ABI_TEXT_OWN_PAD = 4 };

/* Which pictures before it a token attends to, by layers of their own: the last one, or all; and none behind end_tokens[0] until the next one. The
 * rows of a picture stand one behind the other in `feature_cache`, in the order of the pictures. Or those whose placeholders adjoin, the last ones; of
 * their rows those of tiles that are there. Then, and with VLM_ABI_ATTEND_AHEAD, tokens before the first picture see all rows of the whole prompt, and
 * the input `shown` is 0 there. */
enum {
  VLM_ABI_ATTEND_LATEST = 1,
  VLM_ABI_ATTEND_ALL = 2,
  VLM_ABI_ATTEND_UNTIL_END = 4,
  VLM_ABI_ATTEND_GROUP = 8,
  VLM_ABI_ATTEND_AHEAD = 16
};

/* Rotary positions whose frequencies depend on how long a sequence is. The library has those of sequences of up to `limit` tokens; a longer one's
 * cosines and sines are the rows of the entry's input `rotary` that `rotary_row` names, computed by the runtime. */
enum { VLM_ABI_ROTARY_THETA = 0, VLM_ABI_ROTARY_FACTOR = 1, VLM_ABI_ROTARY_SCALE = 2 };
typedef struct vlm_abi_rotary {
  int64_t limit;
  const float *numbers;      /* by VLM_ABI_ROTARY_*: theta, how much it grows with the length, the factor of cosines and sines */
  const float *long_factors; /* [size / 2], by which frequencies are divided; NULL: theta grows with the length instead */
  uint32_t size;             /* of a head's features that are turned */
  uint32_t reserved;
} vlm_abi_rotary;

/* What changes the logits before a token is chosen, in the order in which it does: see spec::TokenRules. Sequences are their length, then their ids,
 * one behind the other. */
enum { VLM_ABI_PROMPT_PENALTY = 0, VLM_ABI_REPETITION_PENALTY = 1, VLM_ABI_DECAY_FACTOR = 2 };
typedef struct vlm_abi_rules {
  const float *numbers; /* by VLM_ABI_*_PENALTY and DECAY_FACTOR; penalties of 1 change nothing */
  const int32_t *biased;
  const float *biases; /* one for each sequence */
  const int32_t *forbidden;
  const int32_t *forced_end;
  const int32_t *suppressed;
  const int32_t *first_suppressed;
  uint32_t n_biased; /* integers, as all of these */
  uint32_t n_forbidden;
  uint32_t n_forced_end;
  uint32_t n_suppressed;
  uint32_t n_first_suppressed;
  int32_t forced_begin; /* -1: none */
  int64_t ngram;        /* 0: any may stand twice */
  int64_t prompt_ngram;
  int64_t min_tokens;
  int64_t min_new_tokens;
  int64_t decay_start; /* -1: never */
} vlm_abi_rules;

/* When a search by beams is over: when a better answer is unlikely, when there are as many answers as beams, or when a better one cannot be. */
enum { VLM_ABI_BEAMS_UNLIKELY = 0, VLM_ABI_BEAMS_FULL = 1, VLM_ABI_BEAMS_IMPOSSIBLE = 2 };

/* How a model that generates text takes pictures: it reads videos, frames of one size; each frame's features are resampled to half of their side,
 * rounded up, and row 0 ends all of them; several pictures of one prompt are not cut into tiles; the tokens of a picture see each other, behind and
 * before; a video's frames are pictures with "FrameN: " before each. */
enum {
  VLM_ABI_READS_VIDEOS = 1,
  VLM_ABI_POOLS_FRAMES = 2,
  VLM_ABI_GROUPS_WHOLE = 4,
  VLM_ABI_SEES_PICTURES = 8,
  VLM_ABI_NAMES_FRAMES = 16
};

/* What a model that generates text says of its tokens. */
enum { VLM_ABI_MAX_END_TOKENS = 8 };
typedef struct vlm_abi_generation {
  int64_t end_tokens[VLM_ABI_MAX_END_TOKENS];
  uint32_t n_end_tokens;
  uint32_t attended;      /* VLM_ABI_ATTEND_*; 0: features of pictures take the place of tokens */
  int64_t pad_token;      /* -1: none */
  int64_t image_token;    /* the placeholder of a picture's features; -1: none */
  int64_t max_new_tokens; /* where a request names none; 0: no such number */
  const int32_t *grid;    /* as vlm_abi_image's, what the model takes pictures to be cut into; then row 0 of each tile's features ends lines */
  uint32_t n_grid;
  int32_t tile_size;      /* side of a tile in pixels */
  int32_t tile_features;  /* and in features */
  uint32_t max_length;    /* of prompt and answer, where neither a request nor max_new_tokens says it; 0: no such number */
  const vlm_abi_rotary *rotary; /* NULL: lengths change no frequencies */
  const vlm_abi_rules *rules;   /* NULL: logits stay as they are */
  int64_t start_token;          /* the first of an answer where an encoder reads the prompt (entry `encode_prompt`) */
  uint32_t beams;               /* of a search, where a request says nothing; 0: 1 */
  uint32_t beam_end;            /* VLM_ABI_BEAMS_*: when it is over */
  const float *length_penalty;  /* of its scores; NULL: 1 */
  int64_t video_token;          /* the placeholder of a video's features; -1: videos have that of pictures */
  uint32_t picture_flags;       /* VLM_ABI_READS_VIDEOS ... */
  uint32_t most_tiles;          /* the map of a picture's tiles is resampled to the features of about so many where it has more; 0: any number */
} vlm_abi_generation;

typedef struct vlm_abi_model {
  uint32_t abi_version; /* VLM_ABI_VERSION; stays first */
  uint32_t struct_bytes; /* sizeof(vlm_abi_model) of the compiler that wrote it */
  const char *name;      /* NAME, a C identifier */
  const char *family;    /* "clip" */
  const char *vlmc_version;
  const vlm_abi_level *levels; /* best first; those of GPUs behind the CPU's */
  uint32_t n_levels;
  uint32_t reference; /* 1: compiled with --reference */
  uint64_t weights_bytes;        /* size of the whole weights file */
  uint64_t weights_header_bytes; /* of them the safetensors header, length field included */
  uint8_t weights_header_sha256[32];
  vlm_abi_range tokenizer;    /* tables of runtime/text */
  const vlm_abi_image *image; /* NULL: the model takes no pictures */
  uint32_t head;              /* how classify turns logits into probabilities: VLM_ABI_HEAD_* */
  uint32_t text_max_tokens;   /* longest text, special tokens included; 0: the model takes no text */
  int64_t pad_token_id;
  uint32_t text_flags; /* VLM_ABI_TEXT_* */
  uint32_t text_padded_tokens; /* shorter texts are padded to it; 0: to the longest of a batch, or as the flags say */
  const vlm_abi_generation *generation; /* NULL: the model generates no text */
  vlm_abi_range picture_words; /* tables of another tokenizer, for words that `encode_image` takes beside a picture */
  const vlm_abi_image *video;  /* of a video's frames; NULL: as pictures */
} vlm_abi_model;

#ifdef __cplusplus
}
static_assert(sizeof(vlm_abi_kernel) == 40, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_term) == 16, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_cache_layer) == 24, "codegen/cpu reads this layout");
static_assert(sizeof(vlm_abi_buffer) == 16, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_map) == 48, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_launch) == 56, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_product) == 72, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_step) == 88, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_tensor) == 128, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_symbol) == 32, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_trim) == 24, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_entry) == 96, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_code) == 24, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_device) == 24, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_level) == 40, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_image) == 128, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_rotary) == 32, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_rules) == 120, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_generation) == 176, "codegen/package writes this layout");
static_assert(sizeof(vlm_abi_model) == 176, "codegen/package writes this layout");
#endif

#endif /* VLMC_RUNTIME_ABI_VLM_ABI_H */
