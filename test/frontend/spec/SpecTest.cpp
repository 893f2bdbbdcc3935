//===- SpecTest.cpp - Tests of specs as text ------------------------------===//
#include "frontend/spec/Spec.h"
#include "test/frontend/support/TestFolder.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

using namespace vlmc;

static std::string messageOf(std::string_view text) {
  auto model = parseSpec(text, "m.textproto");
  return model ? "" : model.message();
}

static const std::string mend =
    "; the fields are those of frontend/spec/model_spec.proto";

TEST(Spec, PrintsWhatItReads) {
  spec::ModelSpec model;
  model.set_name("x");
  spec::Component *component = model.add_components();
  component->set_name("vision");
  spec::VisionTransformer *vision = component->mutable_vision_transformer();
  vision->mutable_blocks()->set_activation(spec::QUICK_GELU);
  vision->mutable_blocks()->set_norm_epsilon(0.1 + 0.2);
  // Absence is kept apart from zero.
  vision->set_projection_size(0);
  model.mutable_image()->add_mean(1.0 / 3);
  std::string text = printSpec(model);
  auto again = parseSpec(text, "m.textproto");
  ASSERT_TRUE(again) << again.message();
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(model, *again));
  EXPECT_TRUE(again->components(0).vision_transformer().has_projection_size());
  EXPECT_EQ(printSpec(*again), text);
}

TEST(Spec, TellsLineAndColumn) {
  EXPECT_EQ(
      messageOf("name: \"x\"\n  nome: 1\n"),
      "m.textproto:2:7: message type \"vlmc.spec.ModelSpec\" has no field "
      "named \"nome\"" +
          mend);
  EXPECT_EQ(messageOf("text { max_tokens: \"1\" }"),
            "m.textproto:1:20: expected integer, got: \"1\"" + mend);
  EXPECT_EQ(messageOf("components { vision_transformer { pool: BEST } }"),
            "m.textproto:1:46: unknown enumeration value of \"BEST\" for field "
            "\"pool\"" +
                mend);
  EXPECT_EQ(messageOf("components {\n"),
            "m.textproto:2:1: expected identifier, got: the end of the file" +
                mend);
}

TEST(Spec, ReadsFiles) {
  TestFolder folder;
  auto model = readSpec(folder.write("m.textproto", "# a note\nname: \"y\""));
  ASSERT_TRUE(model);
  EXPECT_EQ(model->name(), "y");
  EXPECT_EQ(folder.relative(readSpec(folder.path("none")).message()),
            "DIR/none: cannot be opened: No such file or directory; check the "
            "path and its permissions");
}
