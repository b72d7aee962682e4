#include "runtime/chat/reasoning.h"

#include <gtest/gtest.h>

#include "tests/chat/cuts.h"

namespace bundle::chat {
namespace {

std::string split(ReasoningFormat format, ReasoningStart start, std::string_view text) {
  AnswerSyntax syntax;
  syntax.reasoning = format;
  syntax.start = start;
  return parse_all_cuts(syntax, text, [&](const std::string& cut) {
    ADD_FAILURE() << "'" << text << "' was cut into\n" << cut;
  });
}

std::string r1(std::string_view text) {
  return split(ReasoningFormat::kDeepSeekR1, ReasoningStart::kReasoning, text);
}

std::string undecided(std::string_view text) {
  return split(ReasoningFormat::kQwen3, ReasoningStart::kUndecided, text);
}

TEST(Reasoning, TheStartTagIsImplied) {
  EXPECT_EQ(r1("I wonder.\n</think>\n\nYes."), "R:I wonder.\n\nC:\n\nYes.\n");
  EXPECT_EQ(r1("<think>\nI wonder.</think>Yes."), "R:\nI wonder.\nC:Yes.\n");
  EXPECT_EQ(r1("\n<think>a</think>b"), "R:a\nC:b\n");
}

TEST(Reasoning, WithoutAnEndTagAllIsReasoning) {
  EXPECT_EQ(r1("I wonder"), "R:I wonder\n");
  EXPECT_EQ(r1("I wonder</thi"), "R:I wonder</thi\n");
  EXPECT_EQ(r1("<thi"), "R:<thi\n");
  EXPECT_EQ(r1("  "), "R:  \n");
  EXPECT_EQ(r1(""), "");
}

TEST(Reasoning, AnAnswerMayEndAtTheEndTag) {
  EXPECT_EQ(r1("a</think>"), "R:a\n");
  EXPECT_EQ(r1("</think>"), "");
  EXPECT_EQ(r1("</think>b"), "C:b\n");
}

TEST(Reasoning, WhatLooksLikeATagIsText) {
  EXPECT_EQ(r1("a < b </ c </thinkk </think>d"), "R:a < b </ c </thinkk \nC:d\n");
  EXPECT_EQ(r1("<<</<</think></think>"), "R:<<</<\nC:</think>\n");
  EXPECT_EQ(r1("a</think>b<think>c</think>d"), "R:a\nC:b<think>c</think>d\n");
  EXPECT_EQ(r1("日本</think>語 👋🏽"), "R:日本\nC:語 👋🏽\n");
}

TEST(Reasoning, AnUndecidedAnswerMayBeginWithTheTag) {
  EXPECT_EQ(undecided("<think>\na\n</think>\n\nb"), "R:\na\n\nC:\n\nb\n");
  EXPECT_EQ(undecided(" \n<think>a</think>b"), "R:a\nC:b\n");
  EXPECT_EQ(undecided("b <think>a</think>"), "C:b <think>a</think>\n");
  EXPECT_EQ(undecided("<thin air"), "C:<thin air\n");
  EXPECT_EQ(undecided("\n\nb"), "C:\n\nb\n");
  EXPECT_EQ(undecided("<think>a"), "R:a\n");
}

TEST(Reasoning, ContentIsLeftAlone) {
  EXPECT_EQ(split(ReasoningFormat::kDeepSeekV3, ReasoningStart::kContent, "<think>a</think>b"),
            "C:<think>a</think>b\n");
  EXPECT_EQ(split(ReasoningFormat::kNone, ReasoningStart::kReasoning, "a</think>b"),
            "C:a</think>b\n");
}

TEST(Reasoning, MistralHasOtherTags) {
  EXPECT_EQ(split(ReasoningFormat::kMistral, ReasoningStart::kUndecided, "[THINK]a[/THINK]b"),
            "R:a\nC:b\n");
}

TEST(Reasoning, MayBeLeftOut) {
  AnswerSyntax syntax;
  syntax.reasoning = ReasoningFormat::kDeepSeekR1;
  syntax.start = ReasoningStart::kReasoning;
  syntax.include_reasoning = false;
  EXPECT_EQ(parse_cut(syntax, "a</think>b", {3}), "C:b\n");
  AnswerParser parser(syntax);
  AnswerPieces pieces;
  EXPECT_FALSE(parser.left_out());
  parser.push("a", pieces);
  EXPECT_TRUE(parser.left_out());
}

TEST(Reasoning, OnlyWhatIsSureIsLetOut) {
  AnswerSyntax syntax;
  syntax.reasoning = ReasoningFormat::kDeepSeekR1;
  syntax.start = ReasoningStart::kReasoning;
  AnswerParser parser(syntax);
  AnswerPieces pieces;
  parser.push("so </th", pieces);
  EXPECT_EQ(spelled(pieces), "R:so \n");
  EXPECT_TRUE(parser.reasoning());
  parser.push("ink>", pieces);
  EXPECT_EQ(spelled(pieces), "R:so \n");
  EXPECT_FALSE(parser.reasoning());
}

}  // namespace
}  // namespace bundle::chat
