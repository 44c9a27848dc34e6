// The meter's registers: which are read for each group, and what readings their words make.
#ifndef REGISTERS_H
#define REGISTERS_H

#include "sdk.h"

#define DEMAND_ADDRESS 200
#define SERIAL_WORDS 8
#define SERIAL_MAX_BYTES (2 * SERIAL_WORDS + 1)

// A bit of the status word.
#define CT_SATURATED (1 << 1)

// Groups, blocks of a group, points of a block, readings of a group.
#define PLANS 2
#define BLOCKS_MAX 5
#define FIELDS_MAX 3
#define READINGS_MAX (BLOCKS_MAX * FIELDS_MAX)

// The settings, numbers as JSON has them.
typedef struct {
  double ct_ratio;
  double phases;
} settings_t;

// One point of a block. `decode` makes a Good reading, or a Bad one that says why there is no value; `doubt` says what the
// status word means for it.
typedef struct field {
  const char *name;
  const char *unit;
  bulkhead_kind_t kind;
  size_t at;
  bulkhead_status_t (*doubt)(int32_t status);
  bulkhead_reading_t (*decode)(const struct field *field, const settings_t *settings, const uint16_t *words);
  bulkhead_point_t point;
} field_t;

// Registers read as one span, and the points in them.
typedef struct {
  bulkhead_modbus_span_t span;
  field_t fields[FIELDS_MAX];
  size_t fields_len;
} block_t;

// A poll group.
typedef struct {
  const char *group;
  block_t blocks[BLOCKS_MAX];
  size_t blocks_len;
} plan_t;

// The groups `default` and `energy`.
void make_plans(plan_t plans[PLANS], const settings_t *settings);

// Declares their points; the number of demand_limit goes to `demand_limit`.
bool declare_points(plan_t plans[PLANS], bulkhead_point_t *demand_limit, bulkhead_fault_t *err);

// The status word, or -1 where this group does not read it or it did not come.
int32_t status_word(const plan_t *plan, const bulkhead_modbus_words_t *answer);

// A reading for every point of the group, whatever came. Returns how many.
size_t readings_of(const plan_t *plan, const settings_t *settings, const bulkhead_modbus_words_t *answer, int32_t status,
                   bulkhead_reading_t *readings);

// The serial number: two characters a word, without what fills up behind them.
void serial_of(const uint16_t *words, char serial[SERIAL_MAX_BYTES]);

// Takes a fault out of an answer, so that it is not freed with it.
bulkhead_fault_t take_fault(bulkhead_modbus_words_t *answer, size_t index);

#endif
