// Follows JSON as a model writes it, byte by byte: where a value ends, and what can no longer be
// one. Checks brackets and which bytes can stand where, not numbers and names; whoever needs all
// of JSON parses the whole afterwards. Plain value, one thread.
#pragma once

#include <string>
#include <string_view>

namespace larder {

class JsonScanner {
 public:
  enum class State {
    kMore,        // the byte belongs to the value, which goes on
    kDone,        // the byte is the value's last
    kDoneBefore,  // a number or name ended before this byte
    kBad,
  };

  /// White space before the value is kMore. After kDone, kDoneBefore and kBad: Reset first.
  State Feed(char c);
  void Reset() { *this = JsonScanner(); }

  bool in_string() const { return in_string_; }
  /// A byte of the value itself has come.
  bool started() const { return started_; }
  /// The value is a text ("..."), known once started.
  bool is_text() const { return is_text_; }
  /// The value is an object or an array.
  bool is_container() const { return started_ && !is_text_ && !is_bare_; }

 private:
  State FeedString(char c);

  std::string open_;  // brackets not closed yet
  bool started_ = false;
  bool is_text_ = false;
  bool is_bare_ = false;  // a number, true, false, null
  bool in_string_ = false;
  bool escaped_ = false;
};

/// Appends a byte of JSON to `out`. Line breaks and other control bytes inside strings, which
/// models write as they are, are escaped.
void AppendJsonByte(const JsonScanner& scanner, char c, std::string* out);

}  // namespace larder
