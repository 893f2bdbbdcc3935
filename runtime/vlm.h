/* vlm.h: the C interface of the vlmc runtime. C11 and C++; this header is the manual.
 *
 * Layers, each a library of its own:
 *   libvlm        core: load a compiled model, run its entry points on tensors (libc, libm and libstdc++ only)
 *   libvlm_image  decode pictures, preprocess them with the model's own pipeline
 *   libvlm_text   tokenise with the model's own tables
 *   libvlm_tasks  whole requests over the three: embed, classify, generate text
 *
 * Rules that hold for every function:
 *   - Status: a function that can fail returns `vlm_status_t *`: NULL when it is done, else a status that the caller frees with
 *     vlm_status_destroy(). Results come through `out_*` and are written only on success. Nothing aborts, prints or throws.
 *   - Ownership: what a `create`, `load` or `decode` function hands out is freed by the `destroy` function of its type, which takes NULL.
 *     Strings handed out live as long as the object they came from.
 *   - Threads: a loaded model is immutable and may be used from any number of threads at once. Other objects: one thread at a time.
 *   - Results are the same bits for any number of threads and any batch.
 *
 * Example: load a model and classify a picture.
 *
 *   vlm_model_t *model = NULL;
 *   vlm_status_t *status = vlm_model_load("clip.vlm", NULL, &model);
 *   if (status) { fprintf(stderr, "%s\n", vlm_status_message(status)); return 1; }
 *   const char *labels[] = {"a cat", "a dog"};
 *   float probabilities[2];
 *   vlm_image_t *image = NULL;
 *   status = vlm_image_decode_file("picture.png", NULL, &image);
 *   if (!status) status = vlm_classify(model, image, labels, 2, NULL, probabilities);
 *   ...
 *   vlm_image_destroy(image); vlm_model_destroy(model);
 */
#ifndef VLM_H
#define VLM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VLM_API __attribute__((visibility("default")))
#else
#define VLM_API
#endif

/* ---- Status ------------------------------------------------------------------------------------------------------------------------ */

typedef enum vlm_code_t {
  VLM_OK = 0,
  VLM_INVALID_ARGUMENT = 1,   /* the caller's input is at fault */
  VLM_NOT_FOUND = 2,          /* a file, entry point or tensor that is not there */
  VLM_INCOMPATIBLE = 3,       /* a package for another ABI, CPU or weights file */
  VLM_CORRUPT = 4,            /* damaged data */
  VLM_OUT_OF_MEMORY = 5,
  VLM_IO = 6,                 /* the operating system refused */
  VLM_UNSUPPORTED = 7,        /* the model cannot do what was asked */
  VLM_INTERNAL = 8            /* a defect of vlmc */
} vlm_code_t;

typedef struct vlm_status_t vlm_status_t;
/* The kind of failure; VLM_OK for NULL. */
VLM_API vlm_code_t vlm_status_code(const vlm_status_t *status);
/* What is wrong, where, what was expected and found, and how to mend it; "" for NULL. */
VLM_API const char *vlm_status_message(const vlm_status_t *status);
VLM_API void vlm_status_destroy(vlm_status_t *status);

/* The runtime's version, "0.1.0". */
VLM_API const char *vlm_version(void);

/* ---- Thread pools ------------------------------------------------------------------------------------------------------------------ */

typedef struct vlm_pool_t vlm_pool_t;
/* Makes a pool that runs work on `threads` threads, the calling one included. 0: as many as the process may use (affinity respected).
 * Errors: VLM_INVALID_ARGUMENT if threads < 0 or > 1024; VLM_IO if the system refuses threads. */
VLM_API vlm_status_t *vlm_pool_create(int threads, vlm_pool_t **out_pool);
VLM_API int vlm_pool_threads(const vlm_pool_t *pool);
/* Waits for nothing: no run may be using the pool. */
VLM_API void vlm_pool_destroy(vlm_pool_t *pool);

/* ---- Models ------------------------------------------------------------------------------------------------------------------------ */

typedef struct vlm_model_t vlm_model_t;

/* Whose arithmetic pictures are resized, cropped and normalised with: transformers has two, and their values differ a little. */
typedef enum vlm_image_backend_t {
  VLM_IMAGE_BACKEND_DEFAULT = 0,    /* that of the checkpoint's processor class: Pillow's if its name ends in Pil, else torchvision's */
  VLM_IMAGE_BACKEND_PIL = 1,        /* Pillow's and NumPy's */
  VLM_IMAGE_BACKEND_TORCHVISION = 2 /* torchvision's on 8-bit tensors, PyTorch's on a CPU with AVX2 */
} vlm_image_backend_t;

typedef struct vlm_load_options_t {
  size_t struct_bytes; /* sizeof(vlm_load_options_t) */
  vlm_pool_t *pool;    /* borrowed until the model is destroyed; NULL: a default pool shared by all models of the process */
  vlm_image_backend_t image_backend;
  const char *isa;     /* the instruction-set level to run, "x86-64-v3" or "cuda:sm_80"; NULL: the best one that the model has and this machine runs,
                          a GPU's before a CPU's */
  int64_t picture_cache_bytes; /* most memory for the features of pictures that sessions have looked at, kept so that nobody need look again; the
                                  oldest go first. 0: 256 MiB; -1: none are kept. Changes no result. */
  const char *cuda_driver; /* the CUDA driver's library, for models with code for GPUs; NULL: libcuda.so.1 */
} vlm_load_options_t;

/* Loads a compiled model, the directory NAME.vlm that `vlmc compile` wrote. The weights are mapped, not read. `options` may be NULL.
 * Errors: VLM_NOT_FOUND (no such package, or a part of it is missing), VLM_INCOMPATIBLE (ABI, instruction set, weights of another
 * compilation), VLM_CORRUPT (damaged weights header or size), VLM_IO. */
VLM_API vlm_status_t *vlm_model_load(const char *path, const vlm_load_options_t *options, vlm_model_t **out_model);

struct vlm_abi_model;
/* The same for a model linked into the program: `model` is its exported `NAME_vlm_model`, `weights_path` its NAME.weights. */
VLM_API vlm_status_t *vlm_model_load_linked(const struct vlm_abi_model *model, const char *weights_path, const vlm_load_options_t *options,
                                            vlm_model_t **out_model);
VLM_API void vlm_model_destroy(vlm_model_t *model);

/* The compiled library's table (see runtime/abi/vlm_abi.h), for the layers above the core. */
VLM_API const struct vlm_abi_model *vlm_model_abi(const vlm_model_t *model);
/* The mapped weights file: *out_bytes bytes at the returned address, read-only. */
VLM_API const void *vlm_model_weights(const vlm_model_t *model, size_t *out_bytes);
/* The pool that runs this model's work. */
VLM_API vlm_pool_t *vlm_model_pool(const vlm_model_t *model);
/* Whose arithmetic this model's pictures are processed with; never VLM_IMAGE_BACKEND_DEFAULT but for a model that takes no pictures. */
VLM_API vlm_image_backend_t vlm_model_image_backend(const vlm_model_t *model);
/* The instruction-set level in use, "x86-64-v3" or "cuda:sm_80". */
VLM_API const char *vlm_model_isa(const vlm_model_t *model);
/* What runs the model, for people: a GPU's name; "CPU"; or, where the model has code for GPUs that does not run here, "CPU, since ..." and the reason. */
VLM_API const char *vlm_model_device(const vlm_model_t *model);
/* Reads the whole weights file and compares each tensor with its recorded checksum.
 * Errors: VLM_CORRUPT naming the first tensor that differs. */
VLM_API vlm_status_t *vlm_model_verify(const vlm_model_t *model);

/* ---- Tensors and entry points -------------------------------------------------------------------------------------------------------- */

typedef enum vlm_dtype_t { VLM_F32 = 0, VLM_I64 = 1, VLM_I32 = 2, VLM_U8 = 3, VLM_F16 = 4, VLM_BF16 = 5, VLM_CACHE = 6 } vlm_dtype_t;
enum { VLM_MAX_RANK = 6 };

/* A dense row-major tensor in the caller's memory; or, with dtype VLM_CACHE, a cache: `data` is a vlm_cache_t and `bytes` is not looked at. */
typedef struct vlm_tensor_t {
  const char *name; /* inputs and outputs are matched by name */
  vlm_dtype_t dtype;
  int rank;
  int64_t dims[VLM_MAX_RANK];
  void *data;   /* not written for inputs */
  size_t bytes; /* size of `data`, at least dims' product times the element size */
} vlm_tensor_t;

typedef struct vlm_entry_t vlm_entry_t;
VLM_API size_t vlm_model_entry_count(const vlm_model_t *model);
/* Borrowed from the model; NULL if index is out of range. */
VLM_API const vlm_entry_t *vlm_model_entry_at(const vlm_model_t *model, size_t index);
/* Errors: VLM_NOT_FOUND listing the entry points there are. */
VLM_API vlm_status_t *vlm_model_entry(const vlm_model_t *model, const char *name, const vlm_entry_t **out_entry);
VLM_API const char *vlm_entry_name(const vlm_entry_t *entry);
VLM_API size_t vlm_entry_input_count(const vlm_entry_t *entry);
VLM_API size_t vlm_entry_output_count(const vlm_entry_t *entry);
/* Describes input or output `index`: name, dtype, rank and dims, with -1 for a dynamic size; data is NULL, bytes 0.
 * Errors: VLM_INVALID_ARGUMENT if index is out of range. */
VLM_API vlm_status_t *vlm_entry_input(const vlm_entry_t *entry, size_t index, vlm_tensor_t *out_tensor);
VLM_API vlm_status_t *vlm_entry_output(const vlm_entry_t *entry, size_t index, vlm_tensor_t *out_tensor);

/* Fills in the dims of all outputs for the given inputs (their data is not looked at).
 * `outputs` has vlm_entry_output_count() elements; name, dtype, rank, dims and `bytes` (the size needed) are written.
 * Errors: as vlm_entry_run. */
VLM_API vlm_status_t *vlm_entry_output_shapes(const vlm_entry_t *entry, const vlm_tensor_t *inputs, size_t input_count, vlm_tensor_t *outputs);

/* Bytes of working memory that one run with these inputs needs beside inputs, outputs and weights, on `threads` threads (0: the pool's). */
VLM_API vlm_status_t *vlm_entry_memory(const vlm_entry_t *entry, const vlm_tensor_t *inputs, size_t input_count, int threads, size_t *out_bytes);

/* Runs an entry point. Inputs are matched by name; an optional input may be left out. `outputs` gives memory for the wanted outputs by name, any
 * subset in any order, each with enough `bytes`; dims and dtype are written.
 * Errors: VLM_INVALID_ARGUMENT (unknown, missing or surplus tensor, wrong dtype, rank or size, an integer out of range, too little memory:
 *   the message names the tensor, what was expected and what was found; outputs are then untouched), VLM_OUT_OF_MEMORY. */
VLM_API vlm_status_t *vlm_entry_run(const vlm_entry_t *entry, const vlm_tensor_t *inputs, size_t input_count, vlm_tensor_t *outputs,
                                    size_t output_count);

/* ---- Profiles ------------------------------------------------------------------------------------------------------------------------ */

/* A stretch of time in which one thread worked on one step of an entry point. */
typedef struct vlm_span_t {
  uint32_t step;  /* of the entry point's steps, see vlm_abi_step */
  uint32_t phase; /* of the step's kernel */
  int32_t thread; /* 0 is the calling one */
  int64_t tasks;  /* how many of the phase's */
  int64_t begin_ns, end_ns; /* of a clock that only goes forward */
} vlm_span_t;

typedef struct vlm_profile_t vlm_profile_t;
/* vlm_entry_run(), and what was worked on when. Costs two looks at the clock for each piece of work. Errors: as vlm_entry_run. */
VLM_API vlm_status_t *vlm_entry_profile(const vlm_entry_t *entry, const vlm_tensor_t *inputs, size_t input_count, vlm_tensor_t *outputs,
                                        size_t output_count, vlm_profile_t **out_profile);
/* In the order of their beginnings. */
VLM_API size_t vlm_profile_span_count(const vlm_profile_t *profile);
VLM_API const vlm_span_t *vlm_profile_spans(const vlm_profile_t *profile);
/* The threads that the run had: one if another run had the pool. */
VLM_API int vlm_profile_threads(const vlm_profile_t *profile);
/* The values of the entry point's size symbols, in their order: after padding was cut off, as the kernels got them. */
VLM_API const int64_t *vlm_profile_sizes(const vlm_profile_t *profile);
VLM_API void vlm_profile_destroy(vlm_profile_t *profile);

/* ---- Caches -------------------------------------------------------------------------------------------------------------------------- */

/* Keys and values of the tokens of several sequences, for entry points with an input of dtype VLM_CACHE. A run of such an entry point writes the tokens
 * at their `position` in their `sequence`; room must have been made before. Memory is taken in pages of 64 tokens and given back page by page. */
typedef struct vlm_cache_t vlm_cache_t;
/* Makes an empty cache for a model's sequences 0 .. max_sequences - 1, each of up to `max_tokens` tokens. No page is taken yet.
 * Threads: one call at a time, runs with the cache included.
 * Errors: VLM_UNSUPPORTED if no entry point of the model takes a cache; VLM_INVALID_ARGUMENT if a number is not positive or too large. */
VLM_API vlm_status_t *vlm_cache_create(const vlm_model_t *model, int64_t max_sequences, int64_t max_tokens, vlm_cache_t **out_cache);
/* The same for an input of another name than `cache`: an entry point may take several caches, such as `feature_cache` for keys and values of pictures,
 * of which `max_tokens` then counts the rows. */
VLM_API vlm_status_t *vlm_cache_create_for(const vlm_model_t *model, const char *input, int64_t max_sequences, int64_t max_tokens,
                                           vlm_cache_t **out_cache);
/* Makes room for tokens 0 .. tokens - 1 of a sequence; gives back what is beyond. 0 empties the sequence.
 * Errors: VLM_INVALID_ARGUMENT for a sequence or a number of tokens that the cache was not made for; VLM_OUT_OF_MEMORY (the cache is unchanged). */
VLM_API vlm_status_t *vlm_cache_resize(vlm_cache_t *cache, int64_t sequence, int64_t tokens);
/* Makes sequence `to`, whatever it held, hold the first `tokens` tokens of sequence `from`, which goes on as it is. Pages that both fill are shared,
 * and count once; the last one is copied if it is not full. A token in a shared page cannot be written: before a sequence goes back, shrink it by
 * vlm_cache_resize() to what it keeps, which parts it from the others.
 * Errors: VLM_INVALID_ARGUMENT if `from` has no room for so many tokens, or for sequences that the cache was not made for; VLM_OUT_OF_MEMORY (the
 * cache is unchanged). */
VLM_API vlm_status_t *vlm_cache_fork(vlm_cache_t *cache, int64_t from, int64_t to, int64_t tokens);
/* Bytes of one page, and the pages taken. */
VLM_API size_t vlm_cache_page_bytes(const vlm_cache_t *cache);
VLM_API size_t vlm_cache_pages(const vlm_cache_t *cache);
VLM_API void vlm_cache_destroy(vlm_cache_t *cache);

/* ---- Pictures (libvlm_image) --------------------------------------------------------------------------------------------------------- */

/* An 8-bit RGB picture: height rows of width pixels of 3 bytes, without padding. */
typedef struct vlm_image_t vlm_image_t;

typedef struct vlm_image_limits_t {
  size_t struct_bytes; /* sizeof(vlm_image_limits_t) */
  int64_t max_pixels;  /* larger pictures are refused before memory is taken; 0: the default, 178,956,970 (Pillow's limit) */
} vlm_image_limits_t;

/* Decodes a PNG, JPEG, WebP or GIF file to RGB, upright, as Pillow does: grey is replicated, alpha dropped, of an animation the first picture
 * taken, and the orientation that EXIF or XMP tells is applied. `limits` may be NULL.
 * Errors: VLM_NOT_FOUND, VLM_IO, VLM_CORRUPT (truncated or damaged), VLM_UNSUPPORTED (another kind of file), VLM_INVALID_ARGUMENT (a side of
 * 0 or more pixels than the limit). */
VLM_API vlm_status_t *vlm_image_decode_file(const char *path, const vlm_image_limits_t *limits, vlm_image_t **out_image);
/* The same from memory; `name` stands in messages. */
VLM_API vlm_status_t *vlm_image_decode(const void *data, size_t bytes, const char *name, const vlm_image_limits_t *limits, vlm_image_t **out_image);
/* Copies height x width x 3 bytes, rows `row_bytes` apart.
 * Errors: VLM_INVALID_ARGUMENT if a side is not positive or row_bytes < 3 * width. */
VLM_API vlm_status_t *vlm_image_create(const uint8_t *rgb, int64_t height, int64_t width, int64_t row_bytes, vlm_image_t **out_image);
VLM_API int64_t vlm_image_height(const vlm_image_t *image);
VLM_API int64_t vlm_image_width(const vlm_image_t *image);
VLM_API const uint8_t *vlm_image_rgb(const vlm_image_t *image);
VLM_API void vlm_image_destroy(vlm_image_t *image);

/* A video: frames of one size in their order, all of which the model sees. It goes where a prompt takes pictures, if the model reads videos; vlm_image_rgb()
 * of it is NULL. The video takes the frames over, and their addresses become NULL.
 * Errors: VLM_INVALID_ARGUMENT if there is no frame, or one of another size, or one that is a video; the frames are unchanged. */
VLM_API vlm_status_t *vlm_image_create_video(vlm_image_t **frames, size_t count, vlm_image_t **out_video);
/* 0: a picture. */
VLM_API size_t vlm_image_frame_count(const vlm_image_t *image);
/* Borrowed from the video; NULL if there is none of that number. */
VLM_API const vlm_image_t *vlm_image_frame(const vlm_image_t *video, size_t number);

/* The size of what vlm_model_preprocess writes for a picture of height x width: f32 [3, out_height, out_width].
 * Errors: VLM_UNSUPPORTED if the model takes no pictures; VLM_INVALID_ARGUMENT if a resized side would be 0. */
VLM_API vlm_status_t *vlm_model_preprocess_size(const vlm_model_t *model, int64_t height, int64_t width, int64_t *out_height, int64_t *out_width);
/* Resizes, crops, rescales and normalises as the checkpoint's preprocessor_config.json says, in the arithmetic that the model was loaded with:
 * the same bits as transformers. `pixels` has room for 3 * out_height * out_width floats.
 * Errors: as vlm_model_preprocess_size; VLM_INVALID_ARGUMENT if the resize is too much; VLM_UNSUPPORTED if torchvision has not got the
 * checkpoint's filter. */
VLM_API vlm_status_t *vlm_model_preprocess(const vlm_model_t *model, const vlm_image_t *image, float *pixels);

/* How many pictures of that size a picture becomes: models that cut pictures into tiles (AnyRes) get the whole one and then its tiles, row by row,
 * and vlm_model_preprocess() writes them one behind the other: its `pixels` has room for *out_tiles of them. Models that cut pictures into quarters, or
 * line by line into squares, get those first and then the whole one; zeros fill up what is smaller than the largest. Others get 1.
 * Errors: VLM_INVALID_ARGUMENT if a side is out of range. */
VLM_API vlm_status_t *vlm_model_tile_count(const vlm_model_t *model, int64_t height, int64_t width, int64_t *out_tiles);
struct vlm_ids_t;
/* For a model that reads pictures between words: the rows of features that stand for a picture of height x width, in the order of its placeholders.
 * A row counts over the features [tiles, T, D] that `encode_image` gives for the picture's tiles. The rows are freed with vlm_ids_destroy().
 * Errors: as vlm_model_tile_count; VLM_UNSUPPORTED if the model does not, or if it resamples the features of so large a picture; VLM_OUT_OF_MEMORY. */
VLM_API vlm_status_t *vlm_model_picture_rows(const vlm_model_t *model, int64_t height, int64_t width, struct vlm_ids_t *out_rows);

/* For a model that reads a picture as lines of patches, each a tile and a token, with a token that ends the line: how many lines, and of how many
 * patches. For one that cuts pictures line by line into squares: how many lines of how many squares, 0 where the picture stays whole. Others have 0.
 * Errors: as vlm_model_tile_count. */
VLM_API vlm_status_t *vlm_model_picture_lines(const vlm_model_t *model, int64_t height, int64_t width, int64_t *out_lines, int64_t *out_columns);

/* ---- Words (libvlm_text) ------------------------------------------------------------------------------------------------------------- */

typedef struct vlm_tokenizer_t vlm_tokenizer_t;
/* Opens tokenizer tables: `bytes` bytes at `tables`, borrowed for the life of the tokenizer.
 * Errors: VLM_CORRUPT, VLM_INCOMPATIBLE (tables of another version). */
VLM_API vlm_status_t *vlm_tokenizer_create(const void *tables, size_t bytes, vlm_tokenizer_t **out_tokenizer);
/* The model's own tokenizer. Errors: VLM_UNSUPPORTED if the model takes no text. The model must outlive it. */
VLM_API vlm_status_t *vlm_tokenizer_of_model(const vlm_model_t *model, vlm_tokenizer_t **out_tokenizer);
/* Another tokenizer, for the words that some models read beside a picture. Errors: VLM_UNSUPPORTED if the model reads none. */
VLM_API vlm_status_t *vlm_tokenizer_of_picture_words(const vlm_model_t *model, vlm_tokenizer_t **out_tokenizer);
VLM_API void vlm_tokenizer_destroy(vlm_tokenizer_t *tokenizer);

typedef struct vlm_ids_t {
  int32_t *ids; /* freed by vlm_ids_destroy */
  size_t count;
  int truncated; /* 1: the text was longer than max_tokens and was cut as transformers cuts it */
} vlm_ids_t;
/* Token ids of `bytes` bytes of UTF-8 (broken UTF-8 is replaced by U+FFFD, as Python's errors="replace" does). `special`: 1 adds the
 * special tokens that the post-processor adds. `max_tokens`: 0, or the limit, special tokens included. Thread-safe. */
VLM_API vlm_status_t *vlm_tokenizer_encode(const vlm_tokenizer_t *tokenizer, const char *text, size_t bytes, int special, size_t max_tokens,
                                           vlm_ids_t *out_ids);
VLM_API void vlm_ids_destroy(vlm_ids_t *ids);
/* The text of some ids, UTF-8, zero-terminated, *out_bytes long, freed with vlm_string_destroy. Errors: VLM_INVALID_ARGUMENT for ids out of range. */
VLM_API vlm_status_t *vlm_tokenizer_decode(const vlm_tokenizer_t *tokenizer, const int32_t *ids, size_t count, int skip_special, char **out_text,
                                           size_t *out_bytes);
/* The same of ids behind which others may come: as much of the text as is certain whatever they are. What it gives of more ids, and what
 * vlm_tokenizer_decode gives of all of them, begins with it. */
VLM_API vlm_status_t *vlm_tokenizer_decode_begun(const vlm_tokenizer_t *tokenizer, const int32_t *ids, size_t count, int skip_special,
                                                 char **out_text, size_t *out_bytes);
VLM_API void vlm_string_destroy(char *text);
/* The id that pads a batch, and the longest text (special tokens included; 0: no limit known). */
VLM_API int32_t vlm_tokenizer_pad_id(const vlm_tokenizer_t *tokenizer);
VLM_API size_t vlm_tokenizer_max_tokens(const vlm_tokenizer_t *tokenizer);
/* Whether padding stands before the text (1) or behind it (0). */
VLM_API int vlm_tokenizer_pads_left(const vlm_tokenizer_t *tokenizer);
/* One more than the largest id that the tokenizer knows; a model may have more. */
VLM_API size_t vlm_tokenizer_id_count(const vlm_tokenizer_t *tokenizer);

/* What the checkpoint's processor says of prompts. Texts are *out_bytes long, not zero-terminated, and live as long as the tokenizer's tables;
 * NULL: there is none. */
/* The text that stands for a picture in a prompt, "<image>", and how many of it a picture takes that is height x width pixels after preprocessing
 * (0 where the checkpoint does not say). */
VLM_API const char *vlm_tokenizer_picture_token(const vlm_tokenizer_t *tokenizer, size_t *out_bytes);
VLM_API int64_t vlm_tokenizer_picture_tokens(const vlm_tokenizer_t *tokenizer, int64_t height, int64_t width);
/* The text that stands for a video, "<video>"; NULL: none does, or that of a picture. */
VLM_API const char *vlm_tokenizer_video_token(const vlm_tokenizer_t *tokenizer, size_t *out_bytes);
/* Where the tokens of pictures stand: where the prompt has placeholders (0); in front of it, before its special tokens (1); or at its placeholders, in
 * front of it where it has none (2). */
VLM_API int vlm_tokenizer_pictures_first(const vlm_tokenizer_t *tokenizer);
/* Whether prompts tell of each picture into which lines of squares it is cut (1), or not (0). */
VLM_API int vlm_tokenizer_pictures_are_cut(const vlm_tokenizer_t *tokenizer);
/* Token ids of a prompt whose placeholders for pictures stand for picture_tokens[0 .. picture_count - 1] tokens each. Where a token ends the lines of
 * pictures (vlm_model_picture_lines) there is an entry for each line; where pictures are cut line by line into squares
 * (vlm_tokenizer_pictures_are_cut) there are two for each picture, its lines and the squares of each, 0 and 0 if it stays whole.
 * Errors: VLM_INVALID_ARGUMENT if there are more placeholders than pictures or fewer, or any where pictures stand in front. */
VLM_API vlm_status_t *vlm_tokenizer_encode_prompt(const vlm_tokenizer_t *tokenizer, const char *text, size_t bytes, const int64_t *picture_tokens,
                                                  size_t picture_count, int special, vlm_ids_t *out_ids);
/* Writes texts and pictures in turn as one prompt, as the checkpoint's processor does; parts[i] is a text or, where it is NULL, a picture, for which a
 * placeholder is written. Texts are zero-terminated. `ends_parts` 1: the token that ends an utterance, where the checkpoint has one, stands between two
 * texts. *out_text is *out_bytes long and for vlm_string_destroy().
 * Errors: VLM_INVALID_ARGUMENT for a picture where the checkpoint names no placeholder. */
VLM_API vlm_status_t *vlm_tokenizer_join(const vlm_tokenizer_t *tokenizer, const char *const *parts, size_t count, int ends_parts,
                                         char **out_text, size_t *out_bytes);
/* The chat template, in Jinja. */
VLM_API const char *vlm_tokenizer_chat_template(const vlm_tokenizer_t *tokenizer, size_t *out_bytes);
/* The same of another name, where the checkpoint has several; NULL: there is none of that name. */
VLM_API const char *vlm_tokenizer_named_chat_template(const vlm_tokenizer_t *tokenizer, const char *name, size_t *out_bytes);
/* Writes a conversation as the chat template has it. `request` is a JSON object with `messages` (objects with `role` and `content`) and, as far as
 * wanted, `chat_template` (the name of one of the checkpoint's templates, or a template), `add_generation_prompt` and what else the template asks for;
 * special tokens are variables by their role. The text is zero-terminated and freed with vlm_string_destroy. *out_special is what to give vlm_session_prompt or vlm_tokenizer_encode: 0 if the text begins with the begin token.
 * Errors: VLM_UNSUPPORTED if there is no template; VLM_INVALID_ARGUMENT for what is no JSON and for what the template refuses, with its line. */
VLM_API vlm_status_t *vlm_tokenizer_render_chat(const vlm_tokenizer_t *tokenizer, const char *request, size_t bytes, char **out_text,
                                                size_t *out_bytes, int *out_special);
/* The special tokens by role: "bos_token", "<s>". False (0) if there is no role of that number. */
VLM_API int vlm_tokenizer_role(const vlm_tokenizer_t *tokenizer, size_t number, const char **out_role, size_t *out_role_bytes,
                               const char **out_token, size_t *out_token_bytes);

/* ---- Requests (libvlm_tasks) --------------------------------------------------------------------------------------------------------- */

/* L2-normalised embeddings of `count` pictures or texts: f32 [count, width], row-major, width from vlm_embedding_width(). Errors: as the layers below;
 * VLM_INVALID_ARGUMENT if count is 0. Texts longer than the model's limit are cut as transformers cuts them; *out_truncated (may be NULL) counts them. */
VLM_API vlm_status_t *vlm_embedding_width(const vlm_model_t *model, int64_t *out_width);
VLM_API vlm_status_t *vlm_embed_images(const vlm_model_t *model, const vlm_image_t *const *images, size_t count, float *embeddings);
VLM_API vlm_status_t *vlm_embed_texts(const vlm_model_t *model, const char *const *texts, size_t count, float *embeddings, size_t *out_truncated);

/* Zero-shot classification of one picture: probabilities [count] over the labels (softmax or sigmoid, as the model was trained), and the logits
 * [count] they come from (may be NULL). Errors: VLM_INVALID_ARGUMENT if count is 0. */
VLM_API vlm_status_t *vlm_classify(const vlm_model_t *model, const vlm_image_t *image, const char *const *labels, size_t count, float *logits,
                                   float *probabilities);

/* ---- Requests for text (libvlm_tasks) -------------------------------------------------------------------------------------------------- */

/* How the next token is chosen: the likeliest if temperature is 0, else at random among those that the limits leave, in this order: penalties,
 * temperature, top_k, top_p, min_p. */
typedef struct vlm_generate_options_t {
  size_t struct_bytes;      /* sizeof(vlm_generate_options_t) */
  int64_t max_new_tokens;   /* 0: the checkpoint's own number, or 20 */
  float temperature;        /* 0: no chance */
  int32_t top_k;            /* 0: all */
  float top_p;              /* 0 or 1: all */
  float min_p;              /* of the likeliest one's probability; 0: all */
  float repetition_penalty; /* divides positive and multiplies negative logits of tokens that prompt or answer hold; 0 or 1: none */
  float presence_penalty;   /* taken off the logits of tokens that the answer holds */
  float frequency_penalty;  /* the same for each time that it holds them */
  uint64_t seed;            /* the same seed gives the same answer */
  const char *const *stops; /* texts that end the answer and are no part of it */
  size_t stop_count;
  int32_t answers;          /* how many answers are given; 0: 1; at most VLM_MAX_ANSWERS. The prompt is computed once, answer i draws by seed + i. */
  int32_t logprobs;         /* 1: tell how likely each token of the answers was */
  int32_t top_logprobs;     /* and so many of the likeliest tokens in its place; at most VLM_MAX_LIKELIEST */
  int32_t prompt_logprobs;  /* 1: the same for the tokens of the prompt, which is then computed from its beginning */
  int32_t beams;            /* more than 1: a search that carries so many beginnings on and gives the likeliest answers, all at its end; it draws nothing,
                             * and needs so many sequences; 0: as the checkpoint says, if temperature is 0; at most VLM_MAX_ANSWERS */
  int32_t beam_end;         /* when the search is over: one of VLM_BEAMS_* */
  float length_penalty;     /* the sum of an answer's logprobs is divided by its length to this power; 0: as the checkpoint says, or 1 */
} vlm_generate_options_t;
enum { VLM_MAX_ANSWERS = 64, VLM_MAX_LIKELIEST = 100 };
/* As the checkpoint says; when a better answer is unlikely; when there are as many answers as beams; when a better answer cannot be. */
enum { VLM_BEAMS_DEFAULT = 0, VLM_BEAMS_UNLIKELY = 1, VLM_BEAMS_FULL = 2, VLM_BEAMS_IMPOSSIBLE = 3 };

typedef enum vlm_end_t {
  VLM_END_TOKEN = 0,     /* the model ended its answer */
  VLM_END_LENGTH = 1,    /* max_new_tokens */
  VLM_END_STOP = 2,      /* one of the stops */
  VLM_END_CANCELLED = 3, /* the callback asked for it */
  VLM_END_CONTEXT = 4,   /* the session is full */
  VLM_END_FAILED = 5     /* an error, see vlm_piece_t */
} vlm_end_t;

/* The natural logarithm of a token's probability: of the softmax of the model's own logits, before penalties, temperature and limits. */
typedef struct vlm_logprob_t {
  int32_t id;
  float logprob;
} vlm_logprob_t;

/* A token of an answer or of the prompt. */
typedef struct vlm_token_t {
  int32_t id;
  float logprob;                  /* 0 if none was asked for, and for the first token of a prompt, which nothing stands before */
  const vlm_logprob_t *likeliest; /* the top_logprobs likeliest tokens in its place, likeliest first, of equals the lower id */
  size_t likeliest_count;         /* 0 where `logprob` tells nothing */
} vlm_token_t;

/* The next piece of an answer. Each of its tokens comes in one piece, in order; a last one, without a token, says how the answer ended.
 * While answers are searched for (see `beams`), a piece of answer -1 without a token comes behind each step of the search: it tells nothing but that
 * the search goes on. */
typedef struct vlm_piece_t {
  int64_t answer;              /* its number, from 0; -1: not of an answer but of the prompt, or of the search */
  const vlm_token_t *token;    /* NULL: none, the answer is over */
  const char *text;            /* what can be told now of an answer's text: whole characters, in their order, perhaps none; not zero-terminated */
  size_t bytes;
  vlm_end_t end;               /* where `token` is NULL */
  const vlm_status_t *failure; /* with VLM_END_FAILED: why */
} vlm_piece_t;
/* Takes the next piece; all that it points to is borrowed for the call. Another value than 0 ends this answer, and all of them if the piece is of
 * the prompt or the search: it gets its last piece, with VLM_END_CANCELLED, and no more text. */
typedef int (*vlm_piece_callback_t)(void *user, const vlm_piece_t *piece);
/* The same for a single answer's text alone, which comes where there is some, and with 0 bytes behind each step of a search. */
typedef int (*vlm_text_callback_t)(void *user, const char *text, size_t bytes);

/* A prompt with its pictures, what is wanted of it, and what it may take. */
typedef struct vlm_request_t {
  size_t struct_bytes;              /* sizeof(vlm_request_t) */
  const char *text;                 /* `bytes` bytes of UTF-8, in which a placeholder stands for each picture */
  size_t bytes;
  const vlm_image_t *const *images; /* in the order of the placeholders; videos in the order of theirs */
  size_t image_count;
  int special;                      /* as for vlm_tokenizer_encode */
  const vlm_generate_options_t *options; /* NULL: the defaults */
  vlm_piece_callback_t callback;    /* may be NULL */
  void *user;
  int64_t max_tiles;                /* most tiles that the pictures may become, all together; 0: any number */
  int64_t max_pixels;               /* most pixels that the pictures may have as they were given, all together; 0: any number */
  size_t max_bytes;                 /* most memory that vlm_prediction_t may tell; 0: any */
} vlm_request_t;

/* What a request will take. The memory is what it needs of its beginning beside the loaded model, decoded pictures and what lies in
 * sessions: the most that is in use at one time, its working memory included, which the model keeps for the next run. Less is taken where parts are
 * there already. */
typedef struct vlm_prediction_t {
  size_t struct_bytes;  /* sizeof(vlm_prediction_t), written by the caller */
  int64_t tokens;       /* of the prompt */
  int64_t tiles;        /* that its pictures become */
  int64_t pixels;       /* that its pictures have as they were given */
  size_t bytes;         /* most memory in use at one time */
  size_t cache_bytes;   /* keys and values of prompt and answers */
  size_t picture_bytes; /* pixels and features of its pictures */
  size_t work_bytes;    /* working memory of the largest run */
} vlm_prediction_t;

/* What a model keeps of pictures that its sessions and batches have looked at (see picture_cache_bytes): how many, and bytes. */
VLM_API void vlm_model_picture_cache(const vlm_model_t *model, int64_t *out_pictures, size_t *out_bytes);

/* What has been done. A counter never goes back. */
typedef struct vlm_stats_t {
  size_t struct_bytes;     /* sizeof(vlm_stats_t), written by the caller */
  int64_t prompt_tokens;   /* of all prompts */
  int64_t reused_tokens;   /* of them those that need not be computed: they lay in the cache */
  int64_t new_tokens;      /* of answers */
  int64_t pictures;        /* of all prompts, those in reused tokens left out */
  int64_t reused_pictures; /* of them those whose features were known (picture_cache_bytes) */
  int64_t steps;           /* runs of the decoder */
} vlm_stats_t;

/* ---- Conversations (libvlm_tasks) ------------------------------------------------------------------------------------------------------ */

/* One sequence of tokens of a model that generates text, with its cache. Threads: one call at a time per session; sessions of one model share its
 * weights and may run at the same time. */
typedef struct vlm_session_t vlm_session_t;

typedef struct vlm_session_options_t {
  size_t struct_bytes;    /* sizeof(vlm_session_options_t) */
  int64_t max_tokens;     /* most tokens that the session holds; 0: as many as the model takes */
  int64_t prefill_tokens; /* tokens of a prompt that go through the model at once; 0: 512. The results are the same bits for any number. */
} vlm_session_options_t;

/* `options` may be NULL. The model must outlive the session.
 * Errors: VLM_UNSUPPORTED if the model generates no text or was compiled without a tokenizer; VLM_INVALID_ARGUMENT for a number out of range. */
VLM_API vlm_status_t *vlm_session_create(const vlm_model_t *model, const vlm_session_options_t *options, vlm_session_t **out_session);
VLM_API void vlm_session_destroy(vlm_session_t *session);

/* Makes the session hold this prompt, `bytes` bytes of UTF-8 in which a placeholder stands for each picture, and nothing else. What it has in common
 * with what the session holds, pictures included, is kept and not computed again, so a conversation gives the whole of itself each time.
 * `special`: as for vlm_tokenizer_encode.
 * Errors: VLM_INVALID_ARGUMENT if placeholders and pictures do not pair up, if the prompt has no token or leaves no room for an answer (the message
 * has the numbers): the session is unchanged; VLM_OUT_OF_MEMORY. */
VLM_API vlm_status_t *vlm_session_prompt(vlm_session_t *session, const char *text, size_t bytes, const vlm_image_t *const *images, size_t image_count,
                                         int special);
/* How many tokens that prompt has; nothing is computed. Errors: as vlm_session_prompt, but any length is told. */
VLM_API vlm_status_t *vlm_session_count(vlm_session_t *session, const char *text, size_t bytes, const vlm_image_t *const *images, size_t image_count,
                                        int special, int64_t *out_tokens);
/* Goes on from what the session holds, special tokens left out of the text. `options`, `callback` and the outs may be NULL. A callback that ends the
 * answer leaves the session with the tokens told so far; one that ends a search, with what it held before the search, and so does a search that fails.
 * Errors: VLM_INVALID_ARGUMENT if there is no prompt, for an option out of range, or for several answers or logprobs, for which there is
 * vlm_session_answer: the session is unchanged. */
VLM_API vlm_status_t *vlm_session_generate(vlm_session_t *session, const vlm_generate_options_t *options, vlm_text_callback_t callback, void *user,
                                           vlm_end_t *out_end, int64_t *out_tokens);
/* Both at once, with all that a request can ask for. Afterwards the session holds the prompt and answer 0, or the prompt alone where a search was ended
 * before it had found anything.
 * Errors: as vlm_session_prompt and vlm_session_generate; VLM_INVALID_ARGUMENT if the request is more than its own limits allow (the message has the
 * numbers). The callback is told of no failure: it is returned. */
VLM_API vlm_status_t *vlm_session_answer(vlm_session_t *session, const vlm_request_t *request);
/* What that would take; nothing is computed. Errors: as vlm_session_count; limits of the request are not looked at. */
VLM_API vlm_status_t *vlm_session_predict(vlm_session_t *session, const vlm_request_t *request, vlm_prediction_t *out_prediction);
/* Tokens that the session holds, those that it generated included; the most that it can hold; bytes of its cache. */
VLM_API int64_t vlm_session_tokens(const vlm_session_t *session);
VLM_API int64_t vlm_session_max_tokens(const vlm_session_t *session);
VLM_API size_t vlm_session_memory(const vlm_session_t *session);
VLM_API void vlm_session_stats(const vlm_session_t *session, vlm_stats_t *out_stats);

/* ---- Many requests at once (libvlm_tasks) ------------------------------------------------------------------------------------------------ */

/* Requests that share the model's runs: each step computes the next tokens of all of them, of answers first and then of prompts as many as fit. A
 * request may come at any time and takes part from the next step on, or when a sequence is free. Its answers are the same bits as those of a session, whatever
 * else is in work, in any order and for any options.
 *
 * Sequences that are over keep their tokens until another one needs the place: prompts that begin alike, with the same pictures, are not computed again.
 *
 * Threads: vlm_batch_add, _cancel, _wait, _predict, _stats and _memory may be called from any thread at any time, and from callbacks;
 * vlm_batch_step from any thread, where one call waits for the other, and not from callbacks. Callbacks come on the thread that steps. Pictures are
 * preprocessed in vlm_batch_add, so that it overlaps with a step on another thread.
 *
 *   vlm_batch_add(batch, &request, NULL);            // any number of them
 *   int64_t left = 0;
 *   do status = vlm_batch_step(batch, &left); while (!status && left > 0);
 */
typedef struct vlm_batch_t vlm_batch_t;

typedef struct vlm_batch_options_t {
  size_t struct_bytes;   /* sizeof(vlm_batch_options_t) */
  int64_t max_sequences; /* answers in work at a time; 0: 16 */
  int64_t max_tokens;    /* most tokens of a sequence; 0: as many as the model takes */
  int64_t step_tokens;   /* most tokens that a step computes, of all sequences together; 0: 512 */
  size_t max_bytes;      /* most memory for keys and values: requests wait until those before them leave them room, and one that needs more for itself is
                            refused; 0: any */
} vlm_batch_options_t;

/* `options` may be NULL. The model must outlive the batch. Errors: as vlm_session_create. */
VLM_API vlm_status_t *vlm_batch_create(const vlm_model_t *model, const vlm_batch_options_t *options, vlm_batch_t **out_batch);
/* No call may be under way. Requests that are not over get no more pieces. */
VLM_API void vlm_batch_destroy(vlm_batch_t *batch);
/* Takes a request, and copies what it needs of it. *out_number (may be NULL) names it for vlm_batch_cancel.
 * Errors: as vlm_session_answer; VLM_INVALID_ARGUMENT also for more answers than max_sequences or more memory than max_bytes. What goes wrong later is told
 * to the callback, with the last piece of each answer, and touches no other request. */
VLM_API vlm_status_t *vlm_batch_add(vlm_batch_t *batch, const vlm_request_t *request, uint64_t *out_number);
/* Ends a request at the next step, in the midst of a search too, with VLM_END_CANCELLED for each of its answers that is not over. A number that is not
 * in work is none's. */
VLM_API void vlm_batch_cancel(vlm_batch_t *batch, uint64_t number);
/* Computes one step, if there is something to compute. *out_left (may be NULL): requests that are not over.
 * Errors: none that are a request's own. */
VLM_API vlm_status_t *vlm_batch_step(vlm_batch_t *batch, int64_t *out_left);
/* Waits until there is a request, for at most so many milliseconds; how many there are. */
VLM_API int64_t vlm_batch_wait(vlm_batch_t *batch, int64_t milliseconds);
/* As vlm_session_predict. */
VLM_API vlm_status_t *vlm_batch_predict(vlm_batch_t *batch, const vlm_request_t *request, vlm_prediction_t *out_prediction);
/* Bytes of keys and values now, those of sequences that are over and kept included. */
VLM_API size_t vlm_batch_memory(vlm_batch_t *batch);
VLM_API void vlm_batch_stats(vlm_batch_t *batch, vlm_stats_t *out_stats);

#ifdef __cplusplus
}
#endif

#endif /* VLM_H */
