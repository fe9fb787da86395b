-- Addresses in one form; the shop's own robots are nobody's contact.
function transform(event)
  local row = event.after
  if row == nil or row.email == nil or row.email == UNCHANGED then return event end
  row.email = row.email:lower():match("^%s*(.-)%s*$")
  if row.email:find("^robot@") then return nil end
  return event
end
