// What a value in a form of Debezium's events is put down with: JsonWriter as Kafka Connect's JSON
// converter writes it, AvroWriter as its Avro converter does. For debezium_value.cc only.
//
// Each appends to a buffer that must outlive it. One thread. good() is false for good after
// something that cannot be written.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "schemas/value.h"
#include "sinks/encoding/avro_binary.h"
#include "sinks/encoding/debezium_value.h"
#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/json_string.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out, WriterLimits limits = {}) : out_(out), limits_(limits) {}

  // What only JSON has: names and signs.
  void Sign(std::string_view json) { out_ += json; }
  void Null() { out_ += "null"; }
  void Some() {}
  void Bool(bool value) { out_ += value ? "true" : "false"; }
  void Integer(int64_t value) { AppendDigits(value, out_); }
  // `text` is what JSON shows of it.
  void Double(double value, std::string_view text) {
    if (std::isfinite(value)) {
      out_ += text;
    } else {
      String(text);
    }
  }
  void String(std::string_view text) { AppendJsonName(text, out_); }
  void Bytes(std::string_view bytes) {
    out_.push_back('"');
    AppendBase64(bytes, out_);
    out_.push_back('"');
  }
  // A number or bool.
  void Plain(const TypeText* type, const schemas::Value& value) {
    AppendJsonValue(value, type, out_);
  }
  size_t BeginArray() {
    out_.push_back('[');
    return 0;
  }
  void EndArray(size_t /*start*/, size_t /*count*/) { out_.push_back(']'); }
  size_t BeginMap() {
    out_.push_back('{');
    return 0;
  }
  void Entry(std::string_view name, std::string_view value, bool first) {
    if (!first) out_.push_back(',');
    String(name);
    out_.push_back(':');
    String(value);
  }
  void EndMap(size_t /*start*/, size_t /*count*/) { out_.push_back('}'); }
  bool typed() const { return limits_.typed; }
  bool clamps() const { return limits_.clamps; }
  static constexpr bool kStrict = false;  // Any text goes into a string.
  bool good() const { return true; }

 private:
  std::string& out_;
  const WriterLimits limits_;
};

class AvroWriter {
 public:
  explicit AvroWriter(std::string& out, bool clamps = false) : out_(out), clamps_(clamps) {}

  void Sign(std::string_view) {}
  // Of a union of null and something, which all optional values are.
  void Null() { AppendAvroLong(0, out_); }
  void Some() { AppendAvroLong(1, out_); }
  void Bool(bool value) { out_.push_back(value ? '\1' : '\0'); }
  void Integer(int64_t value) { AppendAvroLong(value, out_); }
  void Double(double value, std::string_view) { AppendAvroDouble(value, out_); }
  void String(std::string_view text) {
    good_ = good_ && IsValidUtf8(text);
    AppendAvroBytes(text, out_);
  }
  void Bytes(std::string_view bytes) { AppendAvroBytes(bytes, out_); }
  void Plain(const TypeText* type, const schemas::Value& value) {
    good_ = good_ && type != nullptr && AppendAvroPlain(type->type, value, out_);
  }
  size_t BeginArray() { return out_.size(); }
  void EndArray(size_t start, size_t count) {
    if (count > 0) {
      std::string block;
      AppendAvroLong(static_cast<int64_t>(count), block);
      out_.insert(start, block);
    }
    AppendAvroLong(0, out_);
  }
  // A block of pairs, as an array is one of elements.
  size_t BeginMap() { return BeginArray(); }
  void Entry(std::string_view name, std::string_view value, bool /*first*/) {
    String(name);
    String(value);
  }
  void EndMap(size_t start, size_t count) { EndArray(start, count); }
  static constexpr bool typed() { return true; }
  bool clamps() const { return clamps_; }
  static constexpr bool kStrict = true;
  bool good() const { return good_; }

 private:
  std::string& out_;
  const bool clamps_;
  bool good_ = true;
};

}  // namespace pgflow::sinks
