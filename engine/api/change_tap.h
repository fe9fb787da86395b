// ChangeTap: where a lane leaves the batches that its sink has taken, for whoever watches.
//
// Nobody watches most of the time: then it costs one load of an atomic a window. It has no say in
// the pipeline: it cannot fail, does not wait, and what is left here was written before; nothing is
// acknowledged, held back or repeated because of it.
#pragma once

#include <string_view>

#include "engine/api/batch.h"

namespace pgflow::engine {

// Thread-safe. Must outlive the pipeline.
class ChangeTap {
 public:
  virtual ~ChangeTap() = default;

  virtual bool watched() const = 0;
  // Only when watched. `sink` as in SinkStatus: a lane that joins tables is "NAME+join". What
  // cannot be kept within bounds is let go at once.
  virtual void Take(std::string_view sink, Batch batch) = 0;
};

}  // namespace pgflow::engine
