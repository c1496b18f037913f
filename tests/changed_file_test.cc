// A model file that is cut, written to or replaced while Larder runs: an error that says so, for
// every call from then on; never a signal, never logits from the changed file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "helpers/golden.h"
#include "helpers/tiny_model.h"

namespace larder {
namespace {

using testing::HasSubstr;

class ChangedFile : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(path_);
    // As a file that has lain there for a while.
    std::filesystem::last_write_time(
        path_, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    EngineOptions options = {.model_path = path_, .n_threads = 1, .max_batch = 4};
    options.process_bytes = kFixedProcessBytes;
    options.memory_budget_bytes = NamedSmallestBudget(options);
    auto engine = Engine::Load(options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = std::move(*engine);
    auto session = engine_->NewSession();
    ASSERT_TRUE(session.ok()) << session.status().message();
    session_ = std::move(*session);
    EXPECT_TRUE(Append(3).ok());
    EXPECT_EQ(n_logits_, 1);
  }
  void TearDown() override {
    session_.reset();
    std::remove(path_.c_str());
  }

  Status Append(std::int32_t token) {
    return session_->Append({&token, 1}, LogitsFor::kLastToken,
                            [this](std::int64_t, std::span<const float>) { ++n_logits_; });
  }

  // Every call from now on fails with a sentence that holds `part`, and no logits come out.
  void ExpectRefusal(const std::string& part) {
    for (int i = 0; i < 3; ++i) {
      const Status status = Append(5 + i);
      EXPECT_EQ(status.code(), StatusCode::kIoError) << status.message();
      EXPECT_THAT(status.message(), HasSubstr(part));
      EXPECT_THAT(status.message(), HasSubstr(path_));
      session_->Clear();
    }
    EXPECT_EQ(n_logits_, 1);
  }

  const std::string path_ = TemporaryPath("changed.gguf");
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
  int n_logits_ = 0;
};

TEST_F(ChangedFile, CutShort) {
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 2);
  ExpectRefusal("became shorter");
}

TEST_F(ChangedFile, CutToNothing) {
  std::filesystem::resize_file(path_, 0);
  ExpectRefusal("became shorter");
}

TEST_F(ChangedFile, WrittenInPlace) {
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path_) - 64));
  file << "not what it was";
  file.close();
  ExpectRefusal("was written to");
}

TEST_F(ChangedFile, StaysRefusedWhenItsTimeIsSetBack) {
  const auto time = std::filesystem::last_write_time(path_);
  std::filesystem::last_write_time(path_, time + std::chrono::seconds(1));
  EXPECT_FALSE(Append(5).ok());
  session_->Clear();
  std::filesystem::last_write_time(path_, time);
  ExpectRefusal("was written to");
}

TEST_F(ChangedFile, ReplacedByAnother) {
  const std::string other = TemporaryPath("other.gguf");
  WriteTinyModel(other);
  std::filesystem::rename(other, path_);
  ExpectRefusal("was replaced");
}

TEST_F(ChangedFile, RemovedOrMovedIsStillTheSame) {
  const std::string elsewhere = TemporaryPath("elsewhere.gguf");
  std::filesystem::rename(path_, elsewhere);
  EXPECT_TRUE(Append(5).ok());
  std::remove(elsewhere.c_str());
  EXPECT_TRUE(Append(6).ok());
  EXPECT_EQ(n_logits_, 3);
}

}  // namespace
}  // namespace larder
