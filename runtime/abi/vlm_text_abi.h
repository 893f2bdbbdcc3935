/* vlm_text_abi.h: the layout of tokenizer tables, which `frontend/text` writes
 * and `runtime/text` uses in place, by mmap, with nothing parsed.
 *
 * The tables are one stretch of bytes, little-endian, to be placed at a
 * multiple of VLM_TEXT_ALIGNMENT: a vlm_text_header, then the sections that it
 * names. Offsets count from the header's first byte.
 *
 * Example: the id of the word w of n bytes is found by probing the slots
 * h, h+1, ... of the section `token_slots`, h being vlm_text_hash_bytes(w, n)
 * modulo their number, until a slot is 0 (absent) or holds id + 1 of a token
 * whose bytes are w.
 */
#ifndef VLMC_RUNTIME_ABI_VLM_TEXT_ABI_H
#define VLMC_RUNTIME_ABI_VLM_TEXT_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { VLM_TEXT_VERSION = 6, VLM_TEXT_ALIGNMENT = 64 };
#define VLM_TEXT_MAGIC "VLMTEXT"

/* `count` elements at `offset`, a multiple of 8. */
typedef struct vlm_text_section {
  uint64_t offset;
  uint64_t count;
} vlm_text_section;

/* A stretch of the section `strings`. */
typedef struct vlm_text_string {
  uint32_t offset;
  uint32_t bytes;
} vlm_text_string;

/* The `bytes` of a vlm_text_string of `tokens` for an id that no token has. */
#define VLM_TEXT_NO_TOKEN UINT32_MAX

/* A slot of the open-addressing table of merges; new_id is VLM_TEXT_NO_TOKEN in
 * a free slot. Tokens left and right become new_id; the lowest rank goes first.
 */
typedef struct vlm_text_merge {
  uint32_t left;
  uint32_t right;
  uint32_t rank;
  uint32_t new_id;
} vlm_text_merge;

enum {
  VLM_TEXT_ADDED_SINGLE_WORD = 1, /* not inside a word */
  VLM_TEXT_ADDED_LSTRIP = 2,      /* takes the white space before it */
  VLM_TEXT_ADDED_RSTRIP = 4,      /* and behind it */
  VLM_TEXT_ADDED_NORMALIZED =
      8, /* is looked for in the normalised text, in its normalised form */
  VLM_TEXT_ADDED_SPECIAL = 16, /* is left out when special tokens are skipped */
  VLM_TEXT_ADDED_DECODES_NORMALIZED = 32 /* decodes to its normalised form */
};
typedef struct vlm_text_added {
  uint32_t id;
  uint32_t flags;
  vlm_text_string content;
} vlm_text_added;

/* A stage of normalising, pre-tokenising or decoding. */
enum {
  VLM_TEXT_NORMALIZE_NFC = 1,
  VLM_TEXT_NORMALIZE_NFD = 2,
  VLM_TEXT_NORMALIZE_LOWERCASE = 3,
  VLM_TEXT_NORMALIZE_REPLACE = 4, /* pattern by content; flags: REGEX */
  VLM_TEXT_NORMALIZE_NFKC = 5,
  VLM_TEXT_NORMALIZE_NFKD = 6,
  VLM_TEXT_NORMALIZE_PREPEND =
      7, /* content in front of text that is not empty; flags: AT_BEGIN */
  VLM_TEXT_NORMALIZE_STRIP = 8, /* white space; flags: LEFT, RIGHT */
  VLM_TEXT_NORMALIZE_NMT = 9,
  VLM_TEXT_NORMALIZE_CAPTION =
      10, /* ASCII punctuation left out, white space collapsed and stripped, as
             Python has it; flags: LOWERCASE, in lower case before */
  VLM_TEXT_NORMALIZE_PRECOMPILED = 11, /* by the charsmap */
  VLM_TEXT_NORMALIZE_BERT = 12 /* flags, in this order: CLEAN, IDEOGRAPHS,
                                  ACCENTS, LOWERCASE */
};
enum {
  VLM_TEXT_SPLIT =
      1, /* pattern, number: VLM_TEXT_BEHAVIOR_*; flags: REGEX, INVERT */
  VLM_TEXT_BYTE_LEVEL = 2, /* flags: ADD_PREFIX_SPACE, USE_REGEX */
  VLM_TEXT_METASPACE = 3,  /* blanks become content; number: VLM_TEXT_PREPEND_*;
                              flags: SPLIT_WORDS */
  VLM_TEXT_WHITESPACE_SPLIT = 4
};
/* A decoder makes tokens of tokens; what is left after the last is joined. */
enum {
  VLM_TEXT_DECODE_BYTE_LEVEL =
      1, /* to one token: characters that stand for bytes */
  VLM_TEXT_DECODE_JOIN_SPACES = 2, /* to one token: joined by blanks */
  VLM_TEXT_DECODE_REPLACE = 3,     /* pattern by content */
  VLM_TEXT_DECODE_STRIP =
      4, /* white space off both ends, as Python's str.strip */
  VLM_TEXT_DECODE_CLEAN_UP =
      5, /* blanks before punctuation, as transformers' clean_up_tokenization */
  VLM_TEXT_DECODE_BYTE_FALLBACK = 6, /* runs of <0xNN> become text */
  VLM_TEXT_DECODE_FUSE = 7,          /* to one token */
  VLM_TEXT_DECODE_METASPACE = 8, /* content becomes a blank; flags: DROP_FIRST,
                                    in the first token it is left out */
  VLM_TEXT_DECODE_STRIP_CHAR =
      9, /* the character content: so many at the begin as number's low half
            says, at the end as its high half */
  VLM_TEXT_DECODE_SENTENCEPIECE =
      10, /* to one token, as SentencePiece with special tokens between; number:
             VLM_TEXT_BLANKS_* */
  VLM_TEXT_DECODE_WORD_PIECE =
      11 /* content is taken off the begin of a token, a blank put before one
            that does not begin with it; flags: CLEAN, no blanks before
            punctuation */
};
enum {
  VLM_TEXT_FLAG_REGEX = 1,
  VLM_TEXT_FLAG_INVERT = 2,
  VLM_TEXT_FLAG_ADD_PREFIX_SPACE = 4,
  VLM_TEXT_FLAG_USE_REGEX = 8,
  VLM_TEXT_FLAG_AT_BEGIN = 16, /* only where the whole text begins */
  VLM_TEXT_FLAG_LEFT = 32,
  VLM_TEXT_FLAG_RIGHT = 64,
  VLM_TEXT_FLAG_LOWERCASE = 128,
  VLM_TEXT_FLAG_SPLIT_WORDS = 256,
  VLM_TEXT_FLAG_DROP_FIRST = 512,
  VLM_TEXT_FLAG_CLEAN = 1024,      /* no control characters, plain blanks */
  VLM_TEXT_FLAG_IDEOGRAPHS = 2048, /* blanks around each of them */
  VLM_TEXT_FLAG_ACCENTS = 4096     /* are taken off */
};
enum {
  VLM_TEXT_PREPEND_NEVER = 0,
  VLM_TEXT_PREPEND_FIRST = 1, /* where the whole text begins */
  VLM_TEXT_PREPEND_ALWAYS = 2
};
enum {
  VLM_TEXT_BLANKS_GO = 0, /* those at the begin, and at the end */
  VLM_TEXT_BLANKS_ONE_GOES = 1, /* the first one at the begin */
  VLM_TEXT_BLANKS_STAY = 2
};
enum {
  VLM_TEXT_BEHAVIOR_REMOVED = 0,
  VLM_TEXT_BEHAVIOR_ISOLATED = 1,
  VLM_TEXT_BEHAVIOR_MERGED_WITH_PREVIOUS = 2,
  VLM_TEXT_BEHAVIOR_MERGED_WITH_NEXT = 3,
  VLM_TEXT_BEHAVIOR_CONTIGUOUS = 4
};
typedef struct vlm_text_stage {
  uint32_t kind;
  uint32_t flags;
  uint32_t number;
  uint32_t reserved;
  vlm_text_string pattern;
  vlm_text_string content;
} vlm_text_stage;

/* A piece of what special tokens make of a text: a token, or the text. */
enum {
  VLM_TEXT_PIECE_TOKEN = 0,
  VLM_TEXT_PIECE_TEXT = 1,
  VLM_TEXT_PIECE_TOKEN_ONCE = 2 /* unless it is the last one already */
};
typedef struct vlm_text_piece {
  uint32_t kind;
  uint32_t id;
} vlm_text_piece;

/* A SentencePiece model is a unigram one that normalises its words itself, and
 * scores in float where the other does in double. */
enum {
  VLM_TEXT_MODEL_BPE = 1,
  VLM_TEXT_MODEL_UNIGRAM = 2,
  VLM_TEXT_MODEL_SENTENCEPIECE = 3,
  VLM_TEXT_MODEL_WORD_PIECE = 4 /* the longest tokens from the left */
};
enum {
  VLM_TEXT_MODEL_FUSE_UNK = 1,
  VLM_TEXT_MODEL_BYTE_FALLBACK = 2,
  VLM_TEXT_MODEL_IGNORE_MERGES = 4,
  /* Of SentencePiece models: what its normaliser does about blanks. */
  VLM_TEXT_MODEL_ADD_PREFIX = 8,
  VLM_TEXT_MODEL_COLLAPSE_SPACES = 16,
  VLM_TEXT_MODEL_SPACES_BEHIND = 32,
  /* A text begins with a blank, also an empty one, but for one that begins with
   * a special token. */
  VLM_TEXT_MODEL_BEGINS_BLANK = 64
};

enum { VLM_TEXT_RIGHT = 0, VLM_TEXT_LEFT = 1 };

/* Where pictures stand: at the placeholders of a prompt; in front of it, before
   the special tokens, without placeholders; or at the placeholders, in front of
   a prompt that has none, and then prompt_begin behind the last one and
   prompt_end behind the prompt; or at the placeholders, with prompt_begin
   behind those that a prompt begins with, where it is not in the prompt, and
   besides the special tokens; or at the placeholders, and a picture's parts, of
   picture_extra tokens each, stand between two picture_frame, of which those
   that adjoin are one, with a blank between it and a word behind it; or at the
   placeholders, and each part, its line's and column's numbers before it,
   stands behind picture_frame, lines have an end, and then the whole picture
   stands between two, with picture_line in front. */
enum {
  VLM_TEXT_PICTURES_INSIDE = 0,
  VLM_TEXT_PICTURES_FIRST = 1,
  VLM_TEXT_PICTURES_BEFORE_BEGIN = 2,
  VLM_TEXT_PICTURES_LEADING = 3,
  VLM_TEXT_PICTURES_PARTS = 4,
  VLM_TEXT_PICTURES_TILES = 5
};

/* The token of a role, such as "bos_token", as chat templates know it. */
typedef struct vlm_text_role {
  vlm_text_string name;
  vlm_text_string content;
} vlm_text_role;

typedef struct vlm_text_header {
  char magic[8]; /* VLM_TEXT_MAGIC */
  uint32_t version;
  uint32_t header_bytes;
  uint64_t bytes; /* of the whole tables */
  uint32_t model;
  uint32_t model_flags;
  int32_t unk_id;      /* -1: none, unknown characters are dropped */
  int32_t pad_id;      /* -1: none */
  uint32_t max_tokens; /* 0: no limit known */
  uint32_t padding_side;
  uint32_t truncation_side;
  uint32_t max_word_chars;     /* of word pieces: longer words are unknown */
  vlm_text_string word_suffix; /* of a word's last character */
  vlm_text_string word_prefix; /* of a word's other characters than the first,
                                  of word pieces: other pieces;
                                  of a SentencePiece model: put before each
                                  word, and its tokens taken off again */
  vlm_text_section strings;    /* bytes */
  vlm_text_section
      tokens; /* vlm_text_string by id; VLM_TEXT_NO_TOKEN: not the model's */
  vlm_text_section
      token_slots;         /* uint32_t: id + 1, or 0; a power of two of them */
  vlm_text_section merges; /* vlm_text_merge; a power of two of them, or none */
  vlm_text_section added;  /* vlm_text_added by ascending id */
  vlm_text_section normalizers; /* vlm_text_stage, in order */
  vlm_text_section pre_tokenizers;
  vlm_text_section
      decoders; /* the first makes text of tokens, the others change it */
  vlm_text_section post;   /* vlm_text_piece; none: the text alone */
  vlm_text_section scores; /* double by id, of unigram models; NaN: the token is
                              never chosen */
  double unknown_score;    /* of a character that no token begins with */
  vlm_text_section charsmap_trie; /* uint32_t: units of a Darts double array */
  vlm_text_section charsmap_text; /* what it leads to, zero-terminated bytes */
  vlm_text_section fixed; /* uint32_t: ids of tokens whose text a SentencePiece
                             model leaves as it is */
  vlm_text_section roles; /* vlm_text_role */
  vlm_text_string chat_template; /* Jinja; empty: none */
  vlm_text_string picture_token; /* stands for a picture in prompts; empty:
                                    prompts have no pictures */
  uint32_t picture_patch; /* a picture of H x W pixels takes H / picture_patch
                             times W / picture_patch + picture_extra of them;
                             0: picture_extra alone */
  int32_t picture_extra;
  vlm_text_string picture_frame; /* stands before and behind a picture, between
                                    two pictures once; empty: nothing does */
  vlm_text_string prompt_begin;  /* begins prompts, in the place of the special
                                    tokens of `post`; empty: those do */
  vlm_text_string part_end;      /* between two texts of a prompt that is given
                                    in parts; empty: nothing is */
  uint32_t strips_parts;         /* 1: parts have no blanks around them */
  uint32_t pictures_first; /* VLM_TEXT_PICTURES_*: where pictures stand */
  vlm_text_string picture_line; /* with pictures_first: ends each line of a
                                   picture; empty: pictures have no lines. With
                                   tiles: what is before the whole picture */
  vlm_text_string picture_end;  /* stands behind the pictures of a prompt; behind
                                   each, in the place of picture_frame, where
                                   they are at placeholders */
  vlm_text_string prompt_end;   /* and behind a prompt with pictures */
  vlm_text_section templates;   /* vlm_text_role: other chat templates, by name */
  vlm_text_string placeholder;  /* stands for a picture in prompts that are
                                   given, in the place of picture_token; empty:
                                   that does */
  vlm_text_string video_token;  /* the same for a video; empty: none does */
  vlm_text_string crops_begin;  /* of a picture that is also shown in crops, each
                                   of them picture_extra tokens: what stands
                                   before the whole one, */
  vlm_text_string crops_middle; /* between it and the first crop, */
  vlm_text_string crops_join;   /* and between two crops */
  vlm_text_string frame_name;   /* there: a video is as many pictures as it has
                                   frames, in lines that begin with this, the
                                   frame's number, ": " */
} vlm_text_header;

/* Where probing for a token begins, modulo the number of slots. */
static inline uint64_t vlm_text_hash_bytes(const char *bytes, size_t count) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < count; ++i)
    hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3u;
  return hash ^ (hash >> 29);
}

/* The same for a merge. */
static inline uint64_t vlm_text_hash_pair(uint32_t left, uint32_t right) {
  uint64_t hash = (((uint64_t)left << 32) | right) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

#ifdef __cplusplus
}
static_assert(sizeof(vlm_text_section) == 16,
              "frontend/text writes this layout");
static_assert(sizeof(vlm_text_string) == 8, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_merge) == 16, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_added) == 16, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_stage) == 32, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_piece) == 8, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_role) == 16, "frontend/text writes this layout");
static_assert(sizeof(vlm_text_header) == 448,
              "frontend/text writes this layout");
#endif

#endif /* VLMC_RUNTIME_ABI_VLM_TEXT_ABI_H */
