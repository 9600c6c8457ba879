// Holds the API and the stored records to what has been published: proto/weft/v1/weft.binpb and
// proto/weft/store/v1/store.binpb.

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "gtest/gtest.h"
#include "tests/api/compatibility.h"

namespace weft {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using testing::ElementsAre;
using testing::IsEmpty;

// A package's folder, and the name of its descriptor sets there.
struct Package {
  std::string folder;
  std::string name;

  std::string published() const { return folder + "/" + name + ".binpb"; }
  std::string present() const { return folder + "/" + name + "_proto-descriptor-set.proto.bin"; }
  std::string how_to_publish() const {
    return "To publish a compatible change, from the top of the tree:\n  protoc "
           "--descriptor_set_out=" +
           published() + " " + folder + "/*.proto\nand commit the file with the change.";
  }
};

FileDescriptorSet Read(const std::string& path) {
  FileDescriptorSet set;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(set.ParseFromIstream(&file)) << path;
  EXPECT_GT(set.file_size(), 0) << path;
  return set;
}

class DescriptorTest : public testing::TestWithParam<Package> {};

TEST_P(DescriptorTest, NothingThatWasPublishedIsBroken) {
  EXPECT_THAT(IncompatibleChanges(Read(GetParam().published()), Read(GetParam().present())),
              IsEmpty())
      << "These break programs and stores in use. Add a new field, value or call instead, and "
         "keep the old one.";
}

TEST_P(DescriptorTest, EverythingIsPublished) {
  EXPECT_THAT(IncompatibleChanges(Read(GetParam().present()), Read(GetParam().published())),
              IsEmpty())
      << GetParam().how_to_publish();
}

INSTANTIATE_TEST_SUITE_P(Packages, DescriptorTest,
                         testing::Values(Package{"proto/weft/v1", "weft"},
                                         Package{"proto/weft/store/v1", "store"}),
                         [](const auto& info) { return info.param.name; });

// A small API, and ways to break it.
class CompatibilityTest : public testing::Test {
 protected:
  CompatibilityTest() {
    FileDescriptorProto& file = *before_.add_file();
    file.set_package("x");
    DescriptorProto& message = *file.add_message_type();
    message.set_name("M");
    FieldDescriptorProto& field = *message.add_field();
    field.set_name("a");
    field.set_number(1);
    field.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    field.set_type(FieldDescriptorProto::TYPE_UINT64);
    auto& enumeration = *file.add_enum_type();
    enumeration.set_name("E");
    enumeration.add_value()->set_name("ZERO");
    enumeration.mutable_value(0)->set_number(0);
    auto& service = *file.add_service();
    service.set_name("S");
    auto& method = *service.add_method();
    method.set_name("Do");
    method.set_input_type(".x.M");
    method.set_output_type(".x.M");
    after_ = before_;
  }

  FileDescriptorProto& file() { return *after_.mutable_file(0); }
  FieldDescriptorProto& field() { return *file().mutable_message_type(0)->mutable_field(0); }
  std::vector<std::string> Changes() { return IncompatibleChanges(before_, after_); }

  FileDescriptorSet before_;
  FileDescriptorSet after_;
};

TEST_F(CompatibilityTest, AdditionsAreCompatible) {
  *file().mutable_message_type(0)->add_field() = field();
  file().mutable_message_type(0)->mutable_field(1)->set_number(2);
  file().add_message_type()->set_name("N");
  file().mutable_service(0)->add_method()->set_name("DoMore");
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(CompatibilityTest, RemovedField) {
  file().mutable_message_type(0)->clear_field();
  EXPECT_THAT(Changes(), ElementsAre("field 1 of x.M (a, LABEL_OPTIONAL TYPE_UINT64 ) is gone"));
}

TEST_F(CompatibilityTest, RenumberedRetypedRenamedField) {
  field().set_number(2);
  EXPECT_EQ(Changes().size(), 1u);
  field().set_number(1);
  field().set_type(FieldDescriptorProto::TYPE_UINT32);
  EXPECT_EQ(Changes().size(), 1u);
  field().set_type(FieldDescriptorProto::TYPE_UINT64);
  field().set_label(FieldDescriptorProto::LABEL_REPEATED);
  EXPECT_EQ(Changes().size(), 1u);
  field().set_label(FieldDescriptorProto::LABEL_OPTIONAL);
  field().set_name("b");
  EXPECT_EQ(Changes().size(), 1u);
}

TEST_F(CompatibilityTest, EnumValue) {
  file().mutable_enum_type(0)->mutable_value(0)->set_name("NIL");
  EXPECT_THAT(Changes(), ElementsAre("value 0 of x.E was (ZERO) and is (NIL)"));
}

TEST_F(CompatibilityTest, Call) {
  auto& method = *file().mutable_service(0)->mutable_method(0);
  method.set_server_streaming(true);
  EXPECT_THAT(Changes(),
              ElementsAre("call x.S/Do was (.x.M to .x.M) and is (.x.M to stream .x.M)"));
  file().mutable_service(0)->clear_method();
  EXPECT_THAT(Changes(), ElementsAre("call x.S/Do (.x.M to .x.M) is gone"));
}

}  // namespace
}  // namespace weft
