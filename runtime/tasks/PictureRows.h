//===- PictureRows.h - Where pictures lie that tokens attend to -*- C++ -*-===//
//
// For models whose layers attend to pictures: the places of a sequence's
// pictures in the cache of their keys and values, and the range of it that a
// token sees.
//
//   PictureRows rows(facts->attended, rowsPerPicture);
//   int64_t there = rows.count(pictures, rows.known(pictures, token));
//   PictureRows::Range seen = rows.seen(pictures, 2);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_PICTUREROWS_H
#define VLMC_RUNTIME_TASKS_PICTUREROWS_H

#include "runtime/tasks/Prompt.h"

#include <span>

namespace vlmc::rt {

/// How many of the pictures begin before a token.
int64_t countBefore(std::span<const Picture> pictures, int64_t token);

class PictureRows {
public:
  using Pictures = std::span<const Picture>;

  PictureRows() = default;
  /// `attended` is VLM_ABI_ATTEND_*; `perPicture` are the rows that the tower
  /// makes.
  PictureRows(uint32_t attended, int64_t perPicture)
      : attended(attended), perPicture(perPicture) {}

  /// Whether the first tokens of the prompt see all of its pictures, which
  /// stand behind them.
  bool seesAhead(Pictures pictures) const;
  /// So many pictures are in the cache when the tokens before `token` are
  /// computed.
  int64_t known(Pictures pictures, int64_t token) const;
  /// The rows of the first `number` pictures, if these are in the cache.
  int64_t count(Pictures pictures, int64_t number) const;
  /// Rows of the features of a picture that lie there: first those that tokens
  /// behind it see, of all pictures one behind the other; then the others.
  int64_t shown(const Picture &picture) const;
  int64_t hidden(Pictures pictures, const Picture &picture) const;

  struct Range {
    int64_t first = 0, last = 0;
    bool isShown = false; ///< it sees pictures before it
  };
  /// What a token sees behind the first `number` pictures.
  Range seen(Pictures pictures, int64_t number) const;

private:
  uint32_t attended = 0;
  int64_t perPicture = 0;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_PICTUREROWS_H
