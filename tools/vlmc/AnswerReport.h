//===- AnswerReport.h - Answers as they come, or as JSON --------*- C++ -*-===//
//
// Takes the pieces of a request's answers: prints a single one as it comes, and
// otherwise gathers them all.
//
//   AnswerReport answers(/*streams=*/true);
//   request.callback = AnswerReport::hear;
//   request.user = &answers;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_ANSWERREPORT_H
#define VLMC_TOOLS_VLMC_ANSWERREPORT_H

#include "runtime/vlm.h"

#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace vlmc::tool {

class AnswerReport {
public:
  /// `streams`: the text is printed as it comes.
  AnswerReport(bool streams, bool hasLogprobs)
      : streams(streams), hasLogprobs(hasLogprobs) {}

  static int hear(void *user, const vlm_piece_t *piece);

  /// Ends the line, or prints all answers, with an empty line between two.
  void print() const;
  /// Prints one line: tokens of the prompt if they were told, answers with
  /// their text, end and tokens, and what the session counted.
  void printJson(const vlm_session_t *session) const;

private:
  struct Answer {
    std::string text, end;
    nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
  };
  bool take(const vlm_piece_t &piece);

  const bool streams, hasLogprobs;
  std::map<int64_t, Answer> answers; ///< by number; -1: the prompt
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_ANSWERREPORT_H
