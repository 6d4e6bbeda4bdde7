# Puts the options of the sample configuration into the manual page: everything
# between the lines "options begin" and "options end" is made from `sample`
# (given with -v), the rest of the page is copied.
#
# A block of the sample is a sentence over some lines, a line with the form of
# the value, and "#name = default"; blank lines separate blocks. The first
# block is the head of the file and has no option.

function flush_block(    i, text)
{
	if (option == "")
		return
	for (i = 1; i < lines; i++)
		text = text (i > 1 ? "\n" : "") line[i]
	print ".TP"
	print "\\fB" name "\\fR = " (value == "" ? "(empty)" : value)
	print text
	print ".br"
	print "Form: " line[lines] "."
}

function escape(text)
{
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	if (text ~ /^[.']/)
		text = "\\&" text
	return text
}

function print_options(    text)
{
	lines = 0
	option = ""
	while ((getline text < sample) > 0) {
		if (text == "") {
			flush_block()
			lines = 0
			option = ""
		} else if (text ~ /^# /) {
			line[++lines] = escape(substr(text, 3))
		} else {
			option = substr(text, 2)
			name = value = option
			sub(/ =.*/, "", name)
			sub(/^[^=]*= ?/, "", value)
			value = escape(value)
		}
	}
	flush_block()
}

/^\.\\" options begin/ {
	print
	print_options()
	skipping = 1
}

/^\.\\" options end/ {
	skipping = 0
}

!skipping {
	print
}
